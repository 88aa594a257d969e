"""Events between services: from the outbox to the broker, from the broker through the inbox into an effect."""
