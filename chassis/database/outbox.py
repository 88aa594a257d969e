"""The transactional outbox: facts that were committed together with the state they tell of, on their way to the broker."""

from collections.abc import Sequence
from zlib import crc32

from google.protobuf.message import Message

from chassis.contract import descriptors
from chassis.core import ids, traceparent
from chassis.database.pipeline import Command
from chassis.database.statements import Statements

PARTITIONS = 16
# The broker takes twice as much: an envelope fits in.
LARGEST_FACT_BYTES = 256 * 1024

SQL = Statements("chassis.database", "sql/outbox.sql")

_COLUMNS = ("event_ids", "types", "aggregate_ids", "aggregate_versions", "partitions", "payloads")


def insertion(facts: Sequence[Message]) -> Command:
    """What appends all the facts, in their order."""
    columns = map(list, zip(*map(_row, facts), strict=True))
    values = dict(zip(_COLUMNS, columns, strict=True))
    return Command(SQL.append, values | {"traceparent": traceparent.current() or None})


def partition(aggregate_id: str) -> int:
    """The partition all facts about one aggregate go through, in their order."""
    return crc32(aggregate_id.encode()) % PARTITIONS


def _row(fact: Message) -> tuple[str, str, str, int, int, bytes]:
    aggregate_id: str = getattr(fact, descriptors.aggregate_id_field(fact.DESCRIPTOR))
    version: int = fact.aggregate_version  # type: ignore[attr-defined]  # the contract tests see to it
    payload = fact.SerializeToString()
    if len(payload) > LARGEST_FACT_BYTES:
        # Committed, it could never be told, and all facts about its aggregate would wait behind it.
        raise ValueError(f"a {fact.DESCRIPTOR.full_name} of {len(payload)} bytes is too large to be told")
    return ids.uuid7(), fact.DESCRIPTOR.full_name, aggregate_id, version, partition(aggregate_id), payload
