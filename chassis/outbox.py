"""The outbox: a fact becomes a row in the transaction of the state it tells of."""

from collections.abc import Sequence
from functools import cache
from typing import Any, LiteralString
from zlib import crc32

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from opentelemetry import trace

from chassis import ids
from tradewind.policy.v1 import policy_pb2

PARTITIONS = 16

_INSERT = "INSERT INTO outbox (event_id, type, aggregate_id, aggregate_version, partition, payload, traceparent) VALUES "
_ROW = "(%s, %s, %s, %s, %s, %s, %s)"


def insertion(facts: Sequence[Message]) -> tuple[LiteralString, list[Any]]:
    """One statement that appends all the facts in their order, and its parameters."""
    traceparent = _traceparent()
    params = [value for fact in facts for value in (*_columns(fact), traceparent)]
    return _INSERT + ", ".join([_ROW] * len(facts)), params


def partition(aggregate_id: str) -> int:
    """The partition all facts about one aggregate go through, in their order."""
    return crc32(aggregate_id.encode()) % PARTITIONS


def _columns(fact: Message) -> tuple[str, str, str, int, int, bytes]:
    aggregate_id: str = getattr(fact, aggregate_field(fact.DESCRIPTOR))
    version: int = fact.aggregate_version  # type: ignore[attr-defined]  # the contract tests see to it
    payload = fact.SerializeToString()
    return ids.uuid7(), fact.DESCRIPTOR.full_name, aggregate_id, version, partition(aggregate_id), payload


@cache
def aggregate_field(fact: Descriptor) -> str:
    """The name of the field that holds the id of the aggregate the fact is about."""
    field: str = fact.GetOptions().Extensions[policy_pb2.event].aggregate_id
    if not field:
        raise TypeError(f"{fact.full_name} is not an event: it lacks option (tradewind.policy.v1.event)")
    return field


def _traceparent() -> str | None:
    """The W3C form of the span in whose course the fact came about."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{trace.format_trace_id(span.trace_id)}-{trace.format_span_id(span.span_id)}-{span.trace_flags:02x}"
