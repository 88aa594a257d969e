"""Imports a shop's sales file as a catalogue: `python -m tools.importer FILE`."""
