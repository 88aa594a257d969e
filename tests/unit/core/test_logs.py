"""Logs: what they never show, and what becomes of a line nobody can take."""

import json
import os
from collections.abc import Iterator

import pytest
import structlog

from chassis.core import logs
from chassis.core.secret import Secret


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    """As in a service."""
    logs.configure("orders", "dev", "info", for_good=False)
    yield
    structlog.reset_defaults()


def test_a_secret_is_not_shown(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Not even when somebody logs it."""
    logs.logger("test").info("connecting", url=Secret("postgresql://orders:hunter2@db"))
    written, _ = capfdbinary.readouterr()
    assert b"connecting" in written
    assert b"hunter2" not in written


def test_a_line_nobody_can_take_is_lost_and_nothing_else(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The call it is about has done its work, and is answered."""
    reader, writer = os.pipe()
    os.close(reader)
    stdout = os.dup(1)
    os.dup2(writer, 1)
    try:
        logs.logger("test").info("unheard")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(writer)
    logs.logger("test").info("heard")
    written, _ = capfdbinary.readouterr()
    assert b"unheard" not in written
    assert b"heard" in written


@pytest.mark.parametrize("value", ["\ud800", 2**64, {1: "one"}, [Secret("hunter2"), "\ud800"]], ids=ascii)
def test_what_json_has_no_words_for_is_shown_all_the_same(
    capfdbinary: pytest.CaptureFixture[bytes], value: object
) -> None:
    """A bug is told of with whatever text it has; and the call it is in still gets its answer."""
    logs.logger("test").info("odd", value=value, exc_info=ValueError("\udcff"))
    written, _ = capfdbinary.readouterr()
    line = json.loads(written)
    assert (line["event"], line["value"], line["level"]) == ("odd", repr(value), "info")
    assert "\\udcff" in str(line["exception"])
    assert b"hunter2" not in written
