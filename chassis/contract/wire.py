"""Python's values as protobuf's well-known messages."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(at: datetime) -> Timestamp:
    """A point in time."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
