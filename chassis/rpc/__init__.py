"""Calls over gRPC, in both directions: what every call passes on its way in, and what every outgoing call is bound by."""
