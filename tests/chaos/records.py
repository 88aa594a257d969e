"""What the services, the provider and the broker keep of orders, read where each of them keeps it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, LiteralString

import grpc
import nats
import psycopg
from google.protobuf import symbol_database
from nats.js.api import ConsumerConfig, DeliverPolicy
from psycopg.rows import dict_row

from chassis.rpc.metadata import ASSERTED_PEER
from tests.chaos.doors import Doors
from tools.stack.stack import Stack
from tradewind.inventory.v1 import stock_events_pb2 as _stock_events  # noqa: F401 — registers its messages
from tradewind.orders.v1 import order_events_pb2 as _order_events  # noqa: F401
from tradewind.payments.v1 import payment_events_pb2 as _payment_events  # noqa: F401
from tradewind.provider.v1.charge_pb2 import Charge, ChargeState
from tradewind.provider.v1.provider_service_pb2 import GetChargeRequest
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub

Row = dict[str, Any]

STREAMS = ("ORDERS", "PAYMENTS", "INVENTORY")
PUBLISHERS = ("orders", "payments", "inventory", "identity")

ORDERS: LiteralString = """
SELECT
    order_id::text, this.state, version, minor_units AS total, saga.status AS saga,
    (saga.state ->> 'failures')::int AS failures,
    (SELECT jsonb_object_agg(line ->> 0, (line ->> 2)::bigint) FROM jsonb_array_elements(lines) AS line) AS wanted,
    (SELECT array_agg(step ORDER BY event.version) FROM order_event AS event WHERE event.order_id = this.order_id) AS steps
FROM customer_order AS this LEFT JOIN saga ON saga.saga_id = this.order_id
WHERE EXISTS (SELECT FROM jsonb_array_elements(lines) AS line WHERE line ->> 0 = ANY(%(skus)s))
ORDER BY order_id
"""

PAYMENTS: LiteralString = """
SELECT
    order_id::text, state, intent, version,
    (
        SELECT jsonb_object_agg(kind, amount) FROM (
            SELECT kind, sum(minor_units) FILTER (WHERE minor_units > 0) AS amount
            FROM booking JOIN ledger_entry USING (booking_id) WHERE booking.order_id = payment.order_id GROUP BY kind
        ) AS booked
    ) AS booked,
    (
        SELECT coalesce(sum(minor_units), 0)::bigint
        FROM booking JOIN ledger_entry USING (booking_id) WHERE booking.order_id = payment.order_id
    ) AS net
FROM payment WHERE order_id = ANY(%(ids)s::uuid[])
"""

RESERVATIONS: LiteralString = """
SELECT order_id::text, state, version, jsonb_object_agg(sku, quantity) FILTER (WHERE sku IS NOT NULL) AS held
FROM reservation LEFT JOIN reservation_line USING (order_id)
WHERE order_id = ANY(%(ids)s::uuid[]) GROUP BY order_id
"""

STOCK: LiteralString = """
SELECT
    sku, on_hand, reserved,
    (SELECT sum(delta)::bigint FROM stock_adjustment AS line WHERE line.sku = stock.sku AND refusal IS NULL) AS counted,
    (
        SELECT coalesce(sum(quantity), 0)::bigint FROM reservation_line JOIN reservation USING (order_id)
        WHERE reservation_line.sku = stock.sku AND state = 'committed'
    ) AS committed
FROM stock WHERE sku = ANY(%(skus)s)
"""

DELIVERIES: LiteralString = """
SELECT delivery_id::text, order_told ->> 'order_id' AS order_id, template, state
FROM delivery WHERE order_told ->> 'order_id' = ANY(%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about an order, as it lies in a stream."""

    event_id: str
    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """All that is kept of one order."""

    order: Row
    """state, version, total, wanted (quantity by SKU), steps, saga"""
    charge: Charge | None
    """None when the provider never heard of it."""
    payment: Row | None
    """state, intent, version, booked (amount by kind), net"""
    reservation: Row | None
    """state, version, held (quantity by SKU)"""
    facts: Mapping[str, list[Fact]]
    """By stream, in the order in which they lie there."""
    deliveries: list[Row]
    """delivery_id, template, state"""


@dataclass(frozen=True)
class Records:
    """The records of one stack."""

    stack: Stack
    doors: Doors

    async def trails(self, skus: Collection[str]) -> list[Trail]:
        """The trail of every order of these products."""
        orders = await self._rows("orders", ORDERS, skus=list(skus))
        ids = [order["order_id"] for order in orders]
        payments = _by_order(await self._rows("payments", PAYMENTS, ids=ids))
        reservations = _by_order(await self._rows("inventory", RESERVATIONS, ids=ids))
        deliveries = await self._rows("notifications", DELIVERIES, ids=ids)
        charges = dict(zip(ids, await asyncio.gather(*map(self._charge, ids)), strict=True))
        facts = {stream: await self._facts(stream) for stream in STREAMS}
        return [
            Trail(
                order=order,
                charge=charges[order["order_id"]],
                payment=payments.get(order["order_id"]),
                reservation=reservations.get(order["order_id"]),
                facts={stream: told.get(order["order_id"], []) for stream, told in facts.items()},
                deliveries=[delivery for delivery in deliveries if delivery["order_id"] == order["order_id"]],
            )
            for order in orders
        ]

    async def stock(self, skus: Collection[str]) -> list[Row]:
        """sku, on_hand, reserved, counted (all that ever came in), committed (all that left for orders)"""
        return await self._rows("inventory", STOCK, skus=list(skus))

    def has_mail(self, delivery_id: str) -> bool:
        """Whether the mail of a delivery has arrived."""
        return any(self.stack.directory.mail.glob(f"{delivery_id}@*.eml"))

    def mails_to(self, address: str) -> list[EmailMessage]:
        """Every mail that arrived for somebody."""
        mails = [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in self.stack.directory.mail.glob("*.eml")
        ]
        return [mail for mail in mails if mail["To"] == address]

    async def charge_state(self, order_id: str) -> str:
        """Where the provider's charge for an order stands; empty when it never heard of it."""
        return state_of(await self._charge(order_id))

    async def moving(self, skus: Collection[str]) -> list[str]:
        """Every order that has not ended yet."""
        orders = await self._rows("orders", ORDERS, skus=list(skus))
        return [f"order {it['order_id']} is {it['state']}, its saga {it['saga']}" for it in orders if _moves(it)]

    async def untroubled(self, sku: str) -> list[str]:
        """Every order of a product whose checkout has not failed in anything yet."""
        orders = await self._rows("orders", ORDERS, skus=[sku])
        return [f"order {it['order_id']} meets with no failure" for it in orders if not it["failures"]]

    async def unrest(self, skus: Collection[str]) -> list[str]:
        """Every order that has not ended yet; once all have, whatever else has not come to its end."""
        return await self.moving(skus) or [
            *[what for service in PUBLISHERS for what in await self._untold(service)],
            *[
                f"what became of the {row['intent']} of {row['order_id']} is unknown"
                for row in await self._rows("payments", "SELECT * FROM payment WHERE intent IS NOT NULL")
            ],
            *await self._unheard(),
            *[
                f"delivery {row['delivery_id']} waits to be sent"
                for row in await self._rows("notifications", "SELECT * FROM delivery WHERE state = 'queued'")
            ],
        ]

    async def dead_letters(self) -> list[str]:
        """Facts that notifications gave up."""
        rows = await self._rows("notifications", "SELECT * FROM dead_letter WHERE resolved_at IS NULL")
        return [f"{row['subject']} is a dead letter: {row['error']}" for row in rows]

    async def _untold(self, service: str) -> list[str]:
        rows = await self._rows(service, "SELECT type, aggregate_id FROM outbox WHERE published_at IS NULL")
        return [f"the broker has not heard {row['type']} of {row['aggregate_id']}" for row in rows]

    async def _unheard(self) -> list[str]:
        async with await nats.connect(self.broker_url) as client:
            consumers = [
                await client.jetstream().consumer_info(stream, "notifications") for stream in ("ORDERS", "IDENTITY")
            ]
        return [
            f"notifications has not settled {it.num_pending} + {it.num_ack_pending} facts of {it.stream_name}"
            for it in consumers
            if it.num_pending or it.num_ack_pending
        ]

    async def _charge(self, order_id: str) -> Charge | None:
        provider = ProviderServiceStub(self.doors["provider"])
        try:
            answer = await provider.GetCharge(
                GetChargeRequest(reference=order_id), metadata=[(ASSERTED_PEER, "payments")], wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None
        charge: Charge = answer.charge
        return charge

    async def _facts(self, stream: str) -> dict[str, list[Fact]]:
        """Every fact of a stream, by its aggregate."""
        told: defaultdict[str, list[Fact]] = defaultdict(list)
        async with await nats.connect(self.broker_url) as client:
            jetstream = client.jetstream()
            left = (await jetstream.stream_info(stream)).state.messages
            lies = await jetstream.subscribe(
                "", stream=stream, ordered_consumer=True, config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
            )
            for _ in range(left):
                message = await lies.next_msg(timeout=10)
                headers = message.headers or {}
                event = symbol_database.Default().GetSymbol(headers["ce-type"]).FromString(message.data)
                fact = Fact(headers["ce-id"], event.DESCRIPTOR.name, event.aggregate_version)
                told[message.subject.rpartition(".")[2]].append(fact)
        return told

    @property
    def broker_url(self) -> str:
        """The broker, as its administrator reaches it."""
        password = (self.stack.directory.broker / "password").read_text()
        return f"nats://admin:{password}@{self.stack.address('broker')}"

    async def _rows(self, service: str, query: LiteralString, **params: Any) -> list[Row]:
        url = self.stack.secret(service, "database_url")
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
            return await (await connection.execute(query, params)).fetchall()


def state_of(charge: Charge | None) -> str:
    """Where a charge stands; empty when there is none."""
    return ChargeState.Name(charge.state).removeprefix("CHARGE_STATE_") if charge else ""


def _by_order(rows: Iterable[Row]) -> dict[str, Row]:
    return {row["order_id"]: row for row in rows}


def _moves(order: Row) -> bool:
    return order["state"] == "PENDING" or order["saga"] not in ("COMPLETED", "COMPENSATED")
