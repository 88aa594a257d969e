"""The metadata keys calls carry between services. Lower case, as HTTP/2 demands of header names."""

AUTHORIZATION = "authorization"
"""`Bearer <access token>` of the user a call is made for."""

REQUEST_ID = "x-request-id"
"""The correlation id, the same in every service a request passes."""

ASSERTED_PEER = "x-tradewind-peer"
"""The calling service by its own word: believed on a developer's loopback alone."""

FORWARDED_CLIENT_CERT = "x-forwarded-client-cert"
"""What an Istio sidecar has seen of the caller's certificate."""
