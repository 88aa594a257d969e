"""The contracts of orders, answered by their use cases."""
