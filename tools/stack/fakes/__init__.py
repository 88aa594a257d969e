"""What the local stack runs in place of companies outside: a payment provider and a mail server."""
