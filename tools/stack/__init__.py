"""The local stack: PostgreSQL, NATS, Envoy and every service as child processes of one supervisor."""

import chassis as chassis  # before gRPC: it tells gRPC to keep out of the children
