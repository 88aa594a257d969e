"""The trace context that goes from work to work."""

from contextvars import copy_context

import pytest

from chassis.core import traceparent

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "carried"), [(GOOD, GOOD), ("", ""), ("nonsense", ""), (f"{GOOD}\n", ""), (GOOD.replace("4", "é"), "")]
)
def test_what_is_no_context_is_not_carried(given: str, carried: str) -> None:
    """It may come from a fact's envelope; sent on to a peer as it is, it would fail the call."""

    def passed_on() -> str:
        traceparent.carry(given)
        return traceparent.current()

    assert copy_context().run(passed_on) == carried
