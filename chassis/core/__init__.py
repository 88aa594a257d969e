"""What everything else stands on: errors, ids, clock, deadlines, settings, logs. Knows neither gRPC nor a database."""
