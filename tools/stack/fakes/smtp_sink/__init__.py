"""A mail server that delivers nothing: it keeps what it is sent, and fails where an address asks it to."""
