"""The shape of a server interceptor, and how several become one.

An interceptor is `async (call, proceed) -> None`: it awaits `proceed(call)` for what lies further in. The same shape
serves all four kinds of RPC, since a response stream is written inside.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

from chassis.rpc.call import Call

Proceed: TypeAlias = Callable[[Call], Awaitable[None]]


class ServerInterceptor(Protocol):
    """A function, or an object that is called like one."""

    def __call__(self, call: Call, proceed: Proceed) -> Awaitable[None]:
        """Does its part of the call, and awaits `proceed` for the rest."""
        ...


def chain(interceptors: tuple[ServerInterceptor, ...], innermost: Proceed) -> Proceed:
    """One callable that runs the interceptors from the first to the last, then `innermost`."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        proceed = partial(interceptor, proceed=proceed)
    return proceed
