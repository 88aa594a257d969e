"""Where a process can be made to die: read from the saga's definition and the contracts, so that none is forgotten."""

from unittest.mock import Mock

from chassis import contract, manifest
from chassis.saga.plan import Plan
from services.orders.saga import KIND, checkout
from services.orders.settings import Settings
from services.payments.domain import Intent

EDGES = ("before", "after", "recorded")

PLAN: Plan = checkout(Mock(), Mock(), Settings()).plan

LOST_ANSWER = f"{KIND}.{PLAN.steps[PLAN.pivot].name}.after=error"
"""With a patience of 1: everything is done up to the point of no return, its answer is lost, and all of it is undone."""


def on_the_way() -> list[str]:
    """Every step of the checkout."""
    return [f"{KIND}.{step.name}" for step in PLAN.steps]


def on_the_way_back() -> list[str]:
    """Every undo a checkout can come to."""
    return [f"{KIND}.{step.name}.undo" for step in PLAN.steps[: PLAN.pivot + 1] if step.has_undo]


def edges(step: str) -> list[str]:
    """Before the call, between its answer and our commit, after our commit."""
    return [f"{step}.{edge}" for edge in EDGES]


def replies_of(service: str) -> list[str]:
    """Between a commit and its reply, in every method by which a checkout changes something there."""
    calls = sorted(manifest.of_package("services.orders").calls)
    theirs = [name for name in calls if name.startswith(f"tradewind.{service}.")]
    return [f"{name}.reply" for name in theirs if contract.method(name).has_request_id]


def answers_of_the_provider() -> list[str]:
    """Between the provider's answer and the commit in payments."""
    return [f"payments.{intent}.after_provider" for intent in Intent]
