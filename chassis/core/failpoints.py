"""Places where a test can make the process die, fail or wait. Off unless `TRADEWIND_FAILPOINTS` names them.

`TRADEWIND_FAILPOINTS="relay.after_publish=kill,checkout.capture_payment.after=error"`. `kill` is SIGKILL to this very
process, `error` raises `Unavailable`, `pause` stops the process (SIGSTOP) until somebody sends SIGCONT. Each leaves a
line in the log.
"""

import os
import signal
from collections.abc import Mapping

from chassis.core import errors, logs
from chassis.core.settings import SettingsError

VARIABLE = "TRADEWIND_FAILPOINTS"
ACTIONS = ("kill", "error", "pause")

log = logs.logger(__name__)

_armed: dict[str, str] = {}


def parse(text: str) -> dict[str, str]:
    """`a=kill,b=error` as a dict. Anything else is refused with SettingsError: a fail-point that does nothing proves nothing."""
    armed: dict[str, str] = {}
    for item in filter(None, text.split(",")):
        name, _, action = item.partition("=")
        if not name or action not in ACTIONS:
            raise SettingsError(f"{VARIABLE}: {item!r} is not NAME=ACTION with one of {', '.join(ACTIONS)}")
        armed[name] = action
    return armed


def arm_from(environment: Mapping[str, str]) -> None:
    """Arms what this process was started with. Raises SettingsError."""
    arm(environment.get(VARIABLE, ""))


def arm(text: str) -> None:
    """Replaces what is armed in this process. Raises SettingsError."""
    armed = parse(text)
    _armed.clear()
    _armed.update(armed)


async def reach(name: str) -> None:
    """Marks an instant at which the process may die. Costs one look into an empty dict when nothing is armed."""
    if _armed and (action := _armed.get(name)):
        _act(action, name)


def _act(action: str, name: str) -> None:
    log.warning("fail_point", name=name, action=action)
    if action == "error":
        raise errors.Unavailable(f"fail-point {name}", reason="FAIL_POINT")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
