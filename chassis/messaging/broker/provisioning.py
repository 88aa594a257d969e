"""What the manifests need of the broker: streams, consumers, and who may say and hear what."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError

from chassis.contract.manifest import Manifest
from chassis.messaging.broker.subjects import any_subject_of, inbox_of, next_request, stream_of, subjects_in

DAY_SECONDS = 24 * 3600
# As long as the outbox keeps what it has published: what the stream has dropped, `replay` brings back.
KEPT_SECONDS = 7 * DAY_SECONDS
ACK_SECONDS = 30
STREAM_EXISTS_DIFFERENTLY = 10058


async def provision(nats_url: str, manifests: Iterable[Manifest]) -> None:
    """Make every stream and consumer the manifests speak of, or bring them up to date. Needs an administrator's URL.

    Consumers come before anybody can publish: one that comes later would still hear all that the stream has kept.
    Raises OSError or nats.errors.Error when the broker is away, or will not have it; neither is tried again.
    """
    declared = list(manifests)
    client = await nats.connect(nats_url, allow_reconnect=False, error_cb=_fail)
    try:
        jetstream = client.jetstream()
        for stream in sorted(_streams(declared)):
            await _make_stream(jetstream, stream)
        for manifest in declared:
            await _make_consumers(jetstream, manifest)
    finally:
        await client.close()


async def _fail(error: Exception) -> None:
    """Left to itself, the client would try to connect for two minutes."""
    raise error


def permissions(manifest: Manifest) -> dict[str, Any]:
    """The NATS permissions of a service: its own facts, its own consumers, its own inbox."""
    says = [any_subject_of(event) for event in sorted(manifest.publishes)]
    for stream in _streams_heard(manifest):
        says += [
            next_request(stream, manifest.name),
            f"$JS.API.CONSUMER.INFO.{stream}.{manifest.name}",
            f"$JS.ACK.{stream}.{manifest.name}.>",
        ]
    return {
        # An empty list would allow everything.
        "publish": {"allow": says} if says else {"deny": [">"]},
        "subscribe": {"allow": [f"{inbox_of(manifest.name)}.>"]},
    }


def _streams(manifests: Iterable[Manifest]) -> set[str]:
    return {stream_of(event) for manifest in manifests for event in manifest.publishes | manifest.consumes}


def _streams_heard(manifest: Manifest) -> list[str]:
    return sorted({stream_of(event) for event in manifest.consumes})


async def _make_stream(jetstream: JetStreamContext, stream: str) -> None:
    config = StreamConfig(
        name=stream,
        subjects=[subjects_in(stream)],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        # A full stream refuses what is new and the outbox keeps it, instead of dropping what nobody has heard yet.
        discard=DiscardPolicy.NEW,
        max_age=KEPT_SECONDS,
        max_bytes=512 * 1024 * 1024,
        max_msg_size=512 * 1024,
        duplicate_window=120,
        allow_direct=False,
    )
    try:
        await jetstream.add_stream(config)
    except BadRequestError as error:
        if error.err_code != STREAM_EXISTS_DIFFERENTLY:
            raise
        await jetstream.update_stream(config)


async def _make_consumers(jetstream: JetStreamContext, manifest: Manifest) -> None:
    for stream, events in groupby(sorted(manifest.consumes), stream_of):
        config = ConsumerConfig(
            durable_name=manifest.name,
            filter_subjects=[any_subject_of(event) for event in events],
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_SECONDS,
            # The consumer alone decides when to give up: it writes a dead letter first.
            max_deliver=-1,
            max_ack_pending=1000,
            max_waiting=64,
        )
        await jetstream.add_consumer(stream, config)
