"""What happens to every RPC before and after its servicer, one concern a file.

An interceptor is `async (call, proceed) -> None`: it awaits `proceed(call)` for what lies further in. The same shape
serves all four kinds of RPC, since a response stream is written inside. `chassis.server` lists them in order.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from chassis.call import Call

Proceed: TypeAlias = Callable[[Call], Awaitable[None]]
Interceptor: TypeAlias = Callable[[Call, Proceed], Awaitable[None]]


def chain(interceptors: tuple[Interceptor, ...], innermost: Proceed) -> Proceed:
    """One callable that runs the interceptors from the first to the last, then `innermost`."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        proceed = _link(interceptor, proceed)
    return proceed


def _link(interceptor: Interceptor, proceed: Proceed) -> Proceed:
    def linked(call: Call) -> Awaitable[None]:
        return interceptor(call, proceed)

    return linked
