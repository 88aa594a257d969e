"""A secret is shown by nothing but the word that reveals it."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from chassis.core.secret import Secret

SECRET = Secret("hunter2")


@dataclass(frozen=True)
class Settings:
    """Where a secret usually lies."""

    password: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:>40}",
        lambda secret: f"{secret:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 — the old way is one of the ways
        "{}".format,
        lambda secret: str([secret, {"password": secret}]),
        lambda secret: str(Settings(secret)),
        lambda secret: str(asdict(Settings(secret))),
        lambda secret: json.dumps({"password": secret}, default=str),
        lambda secret: "".join(traceback.format_exception(ValueError(secret))),
    ],
)
def test_a_secret_is_not_shown(show: Callable[[Secret], str]) -> None:
    """By any of the ways a value gets into a text."""
    assert "hunter2" not in show(SECRET)
    assert "Secret(" in show(SECRET)


def test_a_secret_is_no_text() -> None:
    """What takes a text for a password does not take a secret by accident: it has to be revealed."""
    assert not isinstance(SECRET, str)
    with pytest.raises(TypeError):
        "password=" + SECRET  # type: ignore[operator]
    assert SECRET.reveal() == "hunter2"


def test_secrets_are_equal_when_their_texts_are() -> None:
    """To each other, not to the texts."""
    assert Secret("hunter2") == SECRET
    assert Secret("hunter3") != SECRET
    assert SECRET != "hunter2"
    assert len({SECRET, Secret("hunter2")}) == 1
    assert SECRET
    assert not Secret("")


def test_a_secret_is_not_pickled() -> None:
    """A copy inside the process is a secret still; what leaves it would be readable."""
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    assert copy.copy(Settings(SECRET)).password.reveal() == "hunter2"
