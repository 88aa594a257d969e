"""Places where a test can make the process die, fail or wait. Off unless `TRADEWIND_FAILPOINTS` names them.

`TRADEWIND_FAILPOINTS="relay.after_publish=kill,checkout.capture_payment.after=error"`. `kill` is SIGKILL to this very
process, `error` raises `Unavailable`, `pause` stops the process (SIGSTOP) until somebody sends SIGCONT. Each leaves a
line in the log.
"""

import os
import signal

from chassis import errors, logs

VARIABLE = "TRADEWIND_FAILPOINTS"

log = logs.logger(__name__)


def parse(text: str) -> dict[str, str]:
    """`a=kill,b=error` as a dict. An unknown action is refused: a fail-point that does nothing proves nothing."""
    armed = dict(item.split("=", 1) for item in text.split(",") if item)
    unknown = set(armed.values()) - {"kill", "error", "pause"}
    if unknown:
        raise ValueError(f"{VARIABLE} names unknown actions: {', '.join(sorted(unknown))}")
    return armed


_armed = parse(os.environ.get(VARIABLE, ""))


def arm(text: str) -> None:
    """Replaces what is armed in this process."""
    _armed.clear()
    _armed.update(parse(text))


async def reach(name: str) -> None:
    """Marks an instant at which the process may die. Costs one look into an empty dict when nothing is armed."""
    if _armed and (action := _armed.get(name)):
        _act(action, name)


def _act(action: str, name: str) -> None:
    log.warning("fail_point", name=name, action=action)
    if action == "error":
        raise errors.Unavailable(f"fail-point {name}", reason="FAIL_POINT")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
