"""Notifications' contract, answered by its use cases."""

from dataclasses import dataclass
from typing import Final

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.rpc.call import Call
from services.notifications.domain import Delivery, Preferences, State, Template, Topic
from services.notifications.usecases import UseCases
from tradewind.notifications.v1 import delivery_pb2
from tradewind.notifications.v1 import notification_service_pb2 as pb

DEFAULT_PAGE_SIZE: Final = 50
NO_DELIVERY_IS_LATER: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True)
class NotificationServicer:
    """tradewind.notifications.v1.NotificationService."""

    usecases: UseCases
    pages: Pages

    async def GetPreferences(self, _request: pb.GetPreferencesRequest, call: Call) -> pb.GetPreferencesResponse:
        """What the caller wants to hear of."""
        preferences = await self.usecases.get_preferences(call.user.subject)
        return pb.GetPreferencesResponse(preferences=_preferences_message(preferences))

    async def UpdatePreferences(self, request: pb.UpdatePreferencesRequest, call: Call) -> pb.UpdatePreferencesResponse:
        """Mute topics for the caller."""
        muted_topics = frozenset(_TOPIC_NUMBERS[number] for number in request.muted_topics)
        async with call.once() as tx:
            preferences = await self.usecases.update_preferences(tx, call.user.subject, muted_topics, request.etag)
            return tx.reply(pb.UpdatePreferencesResponse(preferences=_preferences_message(preferences)))

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, call: Call) -> pb.ListDeliveriesResponse:
        """A page of deliveries: the caller's own, or for staff everybody's."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self.pages.cursor(request, request.page_token) or {"before": NO_DELIVERY_IS_LATER}
        deliveries = await self.usecases.list_deliveries(
            user_id=None if call.user.is_staff else call.user.subject,
            state=_STATE_NUMBERS.get(request.state),
            before=cursor["before"],
            limit=size + 1,
        )
        page = pb.ListDeliveriesResponse(deliveries=map(_delivery_message, deliveries[:size]))
        if len(deliveries) > size:
            page.next_page_token = self.pages.token(request, {"before": deliveries[size - 1].delivery_id})
        return page

    async def RetryDelivery(self, request: pb.RetryDeliveryRequest, call: Call) -> pb.RetryDeliveryResponse:
        """Try a failed delivery again."""
        async with call.once() as tx:
            delivery = await self.usecases.retry_delivery(tx, request.delivery_id)
            return tx.reply(pb.RetryDeliveryResponse(delivery=_delivery_message(delivery)))


def _preferences_message(preferences: Preferences) -> delivery_pb2.Preferences:
    return delivery_pb2.Preferences(
        user_id=preferences.user_id,
        muted_topics=sorted(_TOPICS[topic] for topic in preferences.muted_topics),
        etag=preferences.etag,
    )


def _delivery_message(delivery: Delivery) -> delivery_pb2.Delivery:
    return delivery_pb2.Delivery(
        delivery_id=delivery.delivery_id,
        user_id=delivery.user_id,
        topic=_TOPICS[delivery.template.topic],
        template=_TEMPLATES[delivery.template],
        state=_STATES[delivery.state],
        attempts=delivery.attempts,
        last_reason=delivery.last_reason,
        create_time=timestamp(delivery.created_at),
        send_time=timestamp(delivery.sent_at) if delivery.sent_at else None,
    )


_TOPICS: Final = {Topic.ACCOUNT: delivery_pb2.TOPIC_ACCOUNT, Topic.ORDERS: delivery_pb2.TOPIC_ORDERS}
_TOPIC_NUMBERS: Final = {number: topic for topic, number in _TOPICS.items()}

_TEMPLATES: Final = {each: delivery_pb2.Template.Value(f"TEMPLATE_{each.upper()}") for each in Template}

_STATES: Final = {
    State.QUEUED: delivery_pb2.DELIVERY_STATE_QUEUED,
    State.SENT: delivery_pb2.DELIVERY_STATE_SENT,
    State.FAILED: delivery_pb2.DELIVERY_STATE_FAILED,
    State.SUPPRESSED: delivery_pb2.DELIVERY_STATE_SUPPRESSED,
}
_STATE_NUMBERS: Final = {number: state for state, number in _STATES.items()}
