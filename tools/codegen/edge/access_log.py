"""One line of JSON for each request, without a token, a query or a body in it."""

import json
from typing import Any

from tools.codegen.edge.envoy import extension
from tools.codegen.edge.filters import JWT, TOKEN_PAYLOAD

# As it was sent: %GRPC_STATUS% makes one from the HTTP status where there is none, as in most of what goes out as JSON.
SENT = [{"command": "TRAILER", "param": "grpc-status"}, {"command": "RESP", "param": "grpc-status"}]
GRPC_STATUS = f"%COALESCE({json.dumps({'operators': SENT})})%"

FIELDS = {
    "timestamp": "%START_TIME%",
    "event": "request",
    "method": "%REQ(:METHOD)%",
    # NQ: a query may hold what somebody searched for.
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": GRPC_STATUS,
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_milliseconds": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user_agent": "%REQ(USER-AGENT)%",
    "principal": f"%DYNAMIC_METADATA({JWT}:{TOKEN_PAYLOAD}:sub)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}


def access_log() -> dict[str, Any]:
    """To standard output, where everything that runs here logs to."""
    return extension(
        "envoy.access_loggers.stdout",
        "access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": FIELDS},
    )
