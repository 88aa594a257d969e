"""What a person sees who operates a service by the tool, anywhere, with a token."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from chassis.messaging import replay as replaying
from chassis.testing import running
from services.catalog.__main__ import service as catalog_service
from tests.conftest import Nats, NewDatabase
from tests.integration.catalog.client import creation
from tests.integration.ops.operated import operated, tool
from tests.integration.orders.shop import Shop, fault
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.operations.v1 import replay_service_pb2
from tradewind.operations.v1.replay_service_pb2_grpc import ReplayServiceStub
from tradewind.orders.v1.order_pb2 import CancelReason


async def test_a_dead_letter_is_listed_shown_redriven_and_discarded(
    new_database: NewDatabase, nats_server: Nats, tmp_path: Path
) -> None:
    """From the first look until it is resolved, in front of a running consumer."""
    async with operated(new_database("notifications"), nats_server) as it:
        ada, eve = await it.bury("ada", error="KeyError('[/a]')"), await it.bury("eve")
        it.failing["eve"] = 1
        code, listed, _ = await tool(it.service, tmp_path, "dead-letters", "list", "notifications")
        assert code == 0
        for shown in (ada, eve, "UserRegistered", "KeyError('[/a]')"):
            assert shown in listed
        code, shown, _ = await tool(it.service, tmp_path, "dead-letters", "show", "notifications", ada)
        assert code == 0
        assert '"user_id": "ada"' in shown
        assert '"email": "[redacted]"' in shown
        redriven = await tool(it.service, tmp_path, "dead-letters", "redrive", "notifications", ada)
        assert redriven == (0, "1 tried again; 0 unresolved\n", "")
        assert it.heard == ["ada"]
        redriven = await tool(it.service, tmp_path, "dead-letters", "redrive", "notifications")
        assert redriven == (1, "1 tried again; 1 unresolved\n", "")
        arguments = ("dead-letters", "discard", "notifications", eve, "--note", "a test account")
        assert await tool(it.service, tmp_path, *arguments) == (0, f"{eve} is discarded; it is kept for audit\n", "")
        _, shown, _ = await tool(it.service, tmp_path, "dead-letters", "show", "notifications", eve)
        assert '"note": "a test account"' in shown


async def test_what_is_not_there_or_not_allowed_is_said_so(new_database: NewDatabase, tmp_path: Path) -> None:
    """With an exit code a script can see."""
    async with operated(new_database("notifications")) as it:
        refusal = "NOT_FOUND DEAD_LETTER_NOT_FOUND: no fact of this id has died here\n"
        for action in ("show", "redrive"):
            arguments = ("dead-letters", action, "notifications", "event-9")
            assert await tool(it.service, tmp_path, *arguments) == (1, "", refusal)
        arguments = ("dead-letters", "redrive", "notifications")
        assert await tool(it.service, tmp_path, *arguments) == (0, "nothing to redrive\n", "")
        arguments = ("dead-letters", "list", "notifications")
        assert await tool(it.service, tmp_path, *arguments) == (0, "no dead letters\n", "")
        refusal = "PERMISSION_DENIED ROLE_MISSING: only staff may do this\n"
        customer = it.service.tokens.customer("ada")
        assert await tool(it.service, tmp_path, *arguments, token=customer) == (1, "", refusal)
        arguments = ("sagas", "list", "notifications")
        assert await tool(it.service, tmp_path, *arguments) == (1, "", "notifications serves no sagas\n")


async def test_facts_are_replayed_in_as_many_calls_as_it_takes(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, however many calls: what was published again meanwhile is left alone."""
    monkeypatch.setattr(replaying, "BATCH", 2)
    monkeypatch.setattr(replaying, "MOST_AT_ONCE", 2)
    async with running(catalog_service, "services.catalog", database_url=new_database("catalog")) as service:
        channel: grpc.aio.Channel = service.channel(token=service.tokens.staff())
        for number in range(5):
            await CatalogServiceStub(channel).CreateProduct(creation(f"LAMP-{number}"))
        async with service.database.read() as reader:
            await reader.execute("UPDATE outbox SET published_at = now()")
        code, output, _ = await tool(service, tmp_path, "replay", "catalog", "--since", "2h")
        assert (code, output.partition(" since ")[0]) == (0, "5 facts")
        async with service.database.read() as reader:
            unpublished = await reader.all("SELECT FROM outbox WHERE published_at IS NULL")
        assert len(unpublished) == 5

        request = replay_service_pb2.ReplayEventsRequest(request_id="0198a6a0-0000-7000-8000-000000000001")
        request.start_time.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
        first = await ReplayServiceStub(channel).ReplayEvents(request)
        assert (first.replayed_count, first.has_more) == (0, False)


async def test_a_saga_is_listed_explained_retried_and_forced(shop: Shop, tmp_path: Path) -> None:
    """By whoever has to decide about it."""
    orders = shop.services["orders"]
    with fault("checkout.commit_stock.before"):
        order_id = (await shop.place()).order_id
        await shop.came_to(order_id, "PAYMENT_CAPTURED")
        await shop.release(order_id)
    await shop.stuck(order_id)
    code, listed, _ = await tool(orders, tmp_path, "sagas", "list", "orders")
    assert code == 0
    assert order_id in listed
    code, story, _ = await tool(orders, tmp_path, "sagas", "explain", "orders", order_id)
    assert (code, story.splitlines()[0]) == (0, f"checkout {order_id}: NEEDS_OPERATOR")
    assert story.splitlines()[1].endswith("Z  started")
    retried = await tool(orders, tmp_path, "sagas", "retry", "orders", order_id, "--note", "mended")
    assert retried == (0, f"{order_id}: RUNNING\n", "")
    await shop.stuck(order_id)
    forced = await tool(orders, tmp_path, "sagas", "force", "orders", order_id, "backward", "--note", "gone")
    assert forced == (0, f"{order_id}: COMPENSATING\n", "")
    assert (await shop.ended(order_id)).cancel_reason == CancelReason.CANCEL_REASON_CANCELLED_BY_STAFF
