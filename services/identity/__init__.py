"""Who somebody is, and what they may do.

Owns users, their passwords and sessions, and the keys that sign access tokens. Publishes UserRegistered; hears nothing.
"""
