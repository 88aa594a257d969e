"""Inventory: what lies in the warehouse, and what of it is promised to orders.

Owns stock, reservations and the journal of adjustments. Publishes StockReserved, StockReleased, StockCommitted and
StockDepleted. Calls nobody, hears nobody.
"""
