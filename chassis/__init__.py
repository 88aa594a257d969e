"""How any Tradewind service runs. Knows no service and no business proto."""
