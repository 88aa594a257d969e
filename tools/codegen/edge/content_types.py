"""Who speaks gRPC and who does not, by the type of what they say they send."""

# What Envoy itself takes for gRPC and gRPC-Web, no more and no less: its filters pass by whatever else begins that way.
_PATTERN = r"application/grpc(\+.*)?|application/grpc-web(-text)?(\+proto)?"

GRPC = {"name": "content-type", "string_match": {"safe_regex": {"regex": _PATTERN}}}
"""A header match for those who do."""

OTHER = {**GRPC, "invert_match": True, "treat_missing_header_as_empty": True}
"""A header match for everybody else."""
