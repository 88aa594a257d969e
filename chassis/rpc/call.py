"""One RPC while it is served: what a servicer gets beside the request."""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from chassis.contract.descriptors import Method
from chassis.core import errors

if TYPE_CHECKING:
    from chassis.database import Transaction
    from chassis.rpc.idempotency import Once


@dataclass(frozen=True)
class Principal:
    """The user a call is made for."""

    subject: str
    """The user id."""
    roles: frozenset[str]

    @property
    def is_staff(self) -> bool:
        """Whether the user runs the shop."""
        return "staff" in self.roles


class Call:
    """One RPC: who makes it, how long it may take, and how to answer it exactly once.

    The interceptors fill it in from the outside in; `chassis.rpc.interceptors` lists them.
    """

    __slots__ = (
        "code",
        "context",
        "metadata",
        "method",
        "once_factory",
        "peer",
        "principal",
        "problem",
        "raw_request",
        "reply",
        "request",
        "request_id",
        "requests",
        "token",
        "traceparent",
    )

    def __init__(self, method: Method, raw_request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self.method = method
        self.context = context
        self.metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        self.raw_request = raw_request
        """The message as it came: bytes, or an iterator of bytes."""
        self.request: Message | None = None
        self.requests: AsyncIterator[Message] | None = None
        self.reply: bytes | None = None
        """The answer of a unary response."""
        self.code = grpc.StatusCode.CANCELLED
        """How it ended. Until it has, what an abandoned call counts as."""
        self.problem: errors.Problem | None = None
        self.principal: Principal | None = None
        self.peer = ""
        """The calling service; empty when it did not say."""
        self.token = ""
        """The bearer token, for calls made on the user's behalf."""
        self.request_id = ""
        """The correlation id, the same in every service a request passes."""
        self.traceparent = ""
        self.once_factory: Once | None = None

    @property
    def user(self) -> Principal:
        """The principal. Raises Unauthenticated when there is none."""
        if self.principal is None:
            raise errors.Unauthenticated("this needs a logged-in user", reason="TOKEN_MISSING")
        return self.principal

    def once(self, *, keep_forever: bool = False) -> "AbstractAsyncContextManager[Transaction]":
        """A transaction that claims the request's id. A repeat does not come so far: its answer was looked up before.

        Answer with `return tx.reply(message)` inside. A permanent Problem raised inside is stored as the answer too,
        with its effects rolled back; a transient one is not. Answers are kept seven days, or for ever.
        """
        if self.once_factory is None:
            raise TypeError(f"{self.method.name} has no request_id to remember its answer by")
        return self.once_factory(keep_forever=keep_forever)

    def time_left(self) -> float:
        """Seconds until the caller's deadline; infinite when it set none."""
        # grpcio's types say it always sets one; it need not.
        left: float | None = self.context.time_remaining()
        return math.inf if left is None else left


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current() -> Call | None:
    """The call this task works on, if any."""
    return _current.get()


def set_current(call: Call) -> None:
    """Makes `call` the one this task works on."""
    _current.set(call)
