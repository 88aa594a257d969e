"""Sagas: work across services that either ends or is undone, whatever process dies at whatever instant."""
