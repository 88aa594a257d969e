"""Money from customers, and the books about it.

Owns the payment of every order and a double-entry ledger. Publishes PaymentAuthorized, PaymentCaptured, PaymentDeclined,
PaymentVoided and PaymentRefunded; hears nothing.
"""
