"""Looks after facts on their way: what died at a consumer, what a broker has lost."""
