"""The names under which facts travel: streams, subjects, and the inboxes of those who ask."""

from urllib.parse import quote


def stream_of(event_type: str) -> str:
    """The stream a fact is kept in; each publishing service has one: `tradewind.orders.v1.OrderPlaced` → `ORDERS`."""
    return event_type.split(".")[1].upper()


def subjects_in(stream: str) -> str:
    """Every subject of a stream's facts: `ORDERS` → `tradewind.orders.v1.>`."""
    return f"tradewind.{stream.lower()}.v1.>"


def subject_of(event_type: str, aggregate_id: str) -> str:
    """The subject a fact is published under. What would mean something to NATS in an id is escaped."""
    return f"{event_type}.{quote(aggregate_id, safe='').replace('.', '%2E')}"


def type_said_on(subject: str) -> str:
    """The fact that is published under a subject, whatever its envelope says: it is what the broker lets pass, or not."""
    return subject.rpartition(".")[0]


def any_subject_of(event_type: str) -> str:
    """The subjects of a fact, whichever aggregate it is about."""
    return f"{event_type}.*"


def inbox_of(service: str) -> str:
    """The prefix of the subjects under which a service, and nobody else, gets its answers."""
    return f"_INBOX.{service}"


def next_request(stream: str, consumer: str) -> str:
    """Where a consumer asks for messages."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
