"""Journeys through the front doors of a whole stack. A package, so that its stack goes down after its last test."""
