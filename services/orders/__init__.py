"""Takes orders and sees each one through stock and payment.

Owns orders, told as the events that happened to them, and the checkout saga. Publishes OrderPlaced, OrderConfirmed and
OrderCancelled; hears nothing.
"""
