"""Facts about users, for everybody who listens."""

from chassis.contract.wire import timestamp
from chassis.database import Transaction
from services.identity.domain import User
from tradewind.identity.v1.user_events_pb2 import UserRegistered


def user_registered(tx: Transaction, user: User) -> None:
    """Somebody opened an account."""
    tx.publish(
        UserRegistered(
            user_id=user.user_id,
            aggregate_version=user.version,
            email=user.email,
            display_name=user.display_name,
            register_time=timestamp(user.registered_at),
        )
    )
