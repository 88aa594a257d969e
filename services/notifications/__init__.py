"""Tells users what happened to them and their orders, once each, by mail.

Owns deliveries, preferences, and what it has heard of users' addresses. Publishes nothing; hears UserRegistered,
OrderConfirmed and OrderCancelled.
"""
