"""The broker: how facts travel from the outbox of one service to the inboxes of others."""

from chassis.messaging.broker.connection import Broker, BrokerUnavailable
from chassis.messaging.broker.provisioning import permissions, provision
from chassis.messaging.broker.pull import Pull, PulledMessage
from chassis.messaging.broker.subjects import inbox_of, stream_of, subject_of, type_said_on

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "Pull",
    "PulledMessage",
    "inbox_of",
    "permissions",
    "provision",
    "stream_of",
    "subject_of",
    "type_said_on",
]
