"""The local stack: PostgreSQL, NATS, Envoy and every service as child processes of one supervisor."""
