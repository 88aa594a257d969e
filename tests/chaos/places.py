"""Where a process can be made to die: read from the saga's definition and the contracts, so that none is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from unittest.mock import Mock

from chassis.contract import descriptors
from chassis.core.clock import SystemClock
from chassis.saga.definition import Action, Definition
from services.orders.domain import Checkout, Item, Money
from services.orders.peers import Peers
from services.orders.saga import KIND, checkout
from services.orders.settings import Settings
from services.payments.domain import Intent

EDGES = ("before", "after", "recorded")
RELAY = ("relay.before_publish", "relay.after_publish")
CONSUMER = ("consumer.commit_to_ack",)
SENDER = ("notifications.sent",)


class Eavesdropper:
    """A channel that leads nowhere, and notes which methods are called on it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def unary_unary(self, path: str, **_: object) -> Callable[[object], Awaitable[None]]:
        """A method of a stub."""

        async def call(_: object) -> None:
            self.heard.append(path.removeprefix("/"))

        return call

    stream_unary = stream_stream = unary_stream = unary_unary


EAVESDROPPER = Eavesdropper()
DEFINITION: Definition[Checkout] = checkout(Peers(lambda _: EAVESDROPPER), Mock(), SystemClock(), Settings())
UNDOABLE = [step for step in DEFINITION.steps[: DEFINITION.plan.pivot + 1] if step.undo]


def on_the_way() -> list[str]:
    """Every step of the checkout."""
    return [f"{KIND}.{step.name}" for step in DEFINITION.steps]


def on_the_way_back() -> list[str]:
    """Every undo a checkout can come to."""
    return [f"{KIND}.{step.name}.undo" for step in UNDOABLE]


def edges(step: str) -> list[str]:
    """Before the call, between its answer and our commit, after our commit."""
    return [f"{step}.{edge}" for edge in EDGES]


def lost_answers() -> list[str]:
    """The answers to steps that can be undone: with a patience of 1, all is undone for want of one."""
    return [f"{KIND}.{step.name}.after=error" for step in UNDOABLE]


def calls_on_the_way() -> list[str]:
    """The method each step calls."""
    return _methods(step.do for step in DEFINITION.steps)


def calls_on_the_way_back() -> list[str]:
    """The method each undo calls."""
    return _methods(step.undo for step in UNDOABLE if step.undo)


def replies_of(service: str, methods: Iterable[str]) -> list[str]:
    """Between a commit and its reply, in those of the methods that are the service's."""
    return [f"{method}.reply" for method in methods if method.startswith(f"tradewind.{service}.")]


def answers_of_the_provider(methods: Iterable[str]) -> list[str]:
    """Between the provider's answer and the commit in payments, in those of the methods that ask it."""
    names = {descriptors.method(method).short_name for method in methods}
    return [f"payments.{intent}.after_provider" for intent in Intent if f"{intent.capitalize()}Payment" in names]


def _methods(actions: Iterable[Action[Checkout]]) -> list[str]:
    EAVESDROPPER.heard.clear()
    data = Checkout("an order", (Item("SKU", 1),), Money("GBP", 1), "tok_approve", datetime.now(UTC))
    for action in actions:
        asyncio.run(action(data, "a request"))  # type: ignore[arg-type]  # every action is a coroutine function
    return list(EAVESDROPPER.heard)
