"""What users and staff may ask of notifications."""

from collections.abc import AsyncIterator

import grpc
import pytest

from chassis.core import errors
from chassis.testing import refused
from tests.conftest import NewDatabase
from tests.integration.notifications.client import Notifications, User, new_id, notifications_on, pb
from tools.stack.addresses import HOST
from tradewind.notifications.v1.delivery_pb2 import (
    DELIVERY_STATE_FAILED,
    DELIVERY_STATE_QUEUED,
    TEMPLATE_ORDER_CONFIRMED,
    TEMPLATE_WELCOME,
    TOPIC_ACCOUNT,
    TOPIC_ORDERS,
    TOPIC_UNSPECIFIED,
    Delivery,
    Preferences,
    Topic,
)

NOWHERE = f"{HOST}:1"


@pytest.fixture
async def notifications(new_database: NewDatabase) -> AsyncIterator[Notifications]:
    """The service, without a mail server."""
    async with notifications_on(new_database("notifications"), NOWHERE) as running:
        yield running


def muting(*topics: Topic.ValueType, etag: str = "", request_id: str = "") -> pb.UpdatePreferencesRequest:
    """A request to hear nothing of these topics."""
    return pb.UpdatePreferencesRequest(request_id=request_id or new_id(), muted_topics=topics, etag=etag)


async def preferences(notifications: Notifications, user: User) -> Preferences:
    """What a user wants to hear of."""
    return (await notifications.of(user).GetPreferences(pb.GetPreferencesRequest())).preferences


async def test_who_never_said_anything_gets_everything(notifications: Notifications) -> None:
    """And has something to base the first change on."""
    user = User()
    assert await preferences(notifications, user) == Preferences(user_id=user.user_id, etag="0")


async def test_a_topic_can_be_muted_and_wanted_again(notifications: Notifications) -> None:
    """Each change has its own etag, and is nobody else's."""
    user = User()
    muted = (await notifications.of(user).UpdatePreferences(muting(TOPIC_ORDERS, etag="0"))).preferences
    assert muted == Preferences(user_id=user.user_id, muted_topics=[TOPIC_ORDERS], etag="1")
    assert await preferences(notifications, user) == muted
    wanted = (await notifications.of(user).UpdatePreferences(muting())).preferences
    assert wanted == Preferences(user_id=user.user_id, etag="2")
    assert (await preferences(notifications, User())).etag == "0"


async def test_a_change_based_on_another_version_is_refused(notifications: Notifications) -> None:
    """Even the first one; nothing changes, and the right etag is told."""
    user = User()
    with refused(errors.Aborted, "ETAG_MISMATCH"):
        await notifications.of(user).UpdatePreferences(muting(TOPIC_ORDERS, etag="1"))
    await notifications.of(user).UpdatePreferences(muting(TOPIC_ORDERS, etag="0"))
    with refused(errors.Aborted, "ETAG_MISMATCH") as failure:
        await notifications.of(user).UpdatePreferences(muting(etag="0"))
    assert failure.problem is not None
    assert failure.problem.metadata["etag"] == (await preferences(notifications, user)).etag == "1"


async def test_a_repeated_change_is_answered_like_the_first(notifications: Notifications) -> None:
    """The same id with other content is a caller's bug."""
    user, request_id = User(), new_id()
    stub = notifications.of(user)
    first = await stub.UpdatePreferences(muting(TOPIC_ORDERS, etag="0", request_id=request_id))
    assert await stub.UpdatePreferences(muting(TOPIC_ORDERS, etag="0", request_id=request_id)) == first
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await stub.UpdatePreferences(muting(etag="0", request_id=request_id))


@pytest.mark.parametrize("topics", [[TOPIC_ACCOUNT], [TOPIC_UNSPECIFIED], [7], [TOPIC_ORDERS, TOPIC_ORDERS]])
async def test_what_cannot_be_muted_is_refused(notifications: Notifications, topics: list[Topic.ValueType]) -> None:
    """The account topic, none at all, an unknown one, one twice."""
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await notifications.of(User()).UpdatePreferences(muting(*topics))


async def test_users_see_their_own_deliveries_and_staff_see_all(notifications: Notifications) -> None:
    """The newest first, without an address or a text."""
    ann, bob = User("Ann"), User("Bob")
    await notifications.hear(ann.registered)
    await notifications.hear(bob.registered)
    await notifications.hear(ann.confirmed())
    assert [(told.user_id, told.template) for told in await notifications.deliveries(ann)] == [
        (ann.user_id, TEMPLATE_ORDER_CONFIRMED),
        (ann.user_id, TEMPLATE_WELCOME),
    ]
    everybody = (await notifications.staff.ListDeliveries(pb.ListDeliveriesRequest())).deliveries
    assert [told.user_id for told in everybody] == [ann.user_id, bob.user_id, ann.user_id]
    assert "@" not in str(everybody)
    assert "Ann" not in str(everybody)


async def test_deliveries_come_in_pages(notifications: Notifications) -> None:
    """None twice and none missing, although new ones arrive meanwhile."""
    user = User()
    await notifications.hear(*[user.confirmed() for _ in range(5)])
    expected = [told.delivery_id for told in await notifications.deliveries(user)]
    request, seen = pb.ListDeliveriesRequest(page_size=2), []
    while True:
        page = await notifications.of(user).ListDeliveries(request)
        seen += [told.delivery_id for told in page.deliveries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        await notifications.hear(user.confirmed())
    assert seen == expected


async def test_deliveries_can_be_listed_by_state(notifications: Notifications) -> None:
    """A page token is good for the filter it was made for, and for no other."""
    user = User()
    await notifications.hear(*[user.confirmed() for _ in range(4)])
    await fail(notifications, (await notifications.deliveries(user))[1:])
    by_state = pb.ListDeliveriesRequest(page_size=2, state=DELIVERY_STATE_FAILED)
    page = await notifications.of(user).ListDeliveries(by_state)
    assert [told.state for told in page.deliveries] == [DELIVERY_STATE_FAILED] * 2
    assert len((await notifications.staff.ListDeliveries(by_state)).deliveries) == 2
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await notifications.of(user).ListDeliveries(pb.ListDeliveriesRequest(page_token=page.next_page_token))


async def test_a_failed_delivery_waits_again_when_staff_say_so(notifications: Notifications) -> None:
    """Said twice under one id, it is said once."""
    user = User()
    await notifications.hear(user.confirmed())
    await fail(notifications, await notifications.deliveries(user))
    [failed] = await notifications.deliveries(user)
    request = pb.RetryDeliveryRequest(request_id=new_id(), delivery_id=failed.delivery_id)
    first = await notifications.staff.RetryDelivery(request)
    assert (first.delivery.state, first.delivery.last_reason) == (DELIVERY_STATE_QUEUED, "SMTP_550")
    assert await notifications.staff.RetryDelivery(request) == first
    assert await notifications.deliveries(user) == [first.delivery]


async def test_a_delivery_that_did_not_fail_is_not_tried_again(notifications: Notifications) -> None:
    """Nor is one that does not exist."""
    user = User()
    await notifications.hear(user.confirmed())
    [queued] = await notifications.deliveries(user)
    with refused(errors.FailedPrecondition, "DELIVERY_NOT_FAILED"):
        await notifications.retry(queued)
    with refused(errors.NotFound, "DELIVERY_NOT_FOUND"):
        await notifications.retry(Delivery(delivery_id=new_id()))


async def test_customers_cannot_have_deliveries_tried_again(notifications: Notifications) -> None:
    """Not even their own."""
    request = pb.RetryDeliveryRequest(request_id=new_id(), delivery_id=new_id())
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await notifications.of(User()).RetryDelivery(request)
    assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def fail(notifications: Notifications, deliveries: list[Delivery]) -> None:
    """Have mails been refused for good."""
    await notifications.execute(
        "UPDATE delivery SET state = 'failed', attempts = 1, last_reason = 'SMTP_550' WHERE delivery_id = ANY(%(ids)s)",
        ids=[each.delivery_id for each in deliveries],
    )
