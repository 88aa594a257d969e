"""Operates a service from a terminal: a thin client of tradewind.operations.v1, here and in production alike."""
