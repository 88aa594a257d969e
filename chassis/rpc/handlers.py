"""From a plain servicer object to gRPC handlers: every RPC of its contract, behind the interceptors."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc

from chassis.contract import descriptors
from chassis.contract.descriptors import ContractError, Method
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed, ServerInterceptor, chain


class Handlers:
    """The handlers of a process, and what runs in them: `server.stop()` alone does not wait for all of it."""

    def __init__(self, interceptors: tuple[ServerInterceptor, ...]) -> None:
        self._interceptors = interceptors
        self._running: set[asyncio.Task[Any]] = set()

    def of(self, servicers: Mapping[str, object]) -> list[grpc.GenericRpcHandler]:
        """Handlers for servicers by service name (`tradewind.orders.v1.OrderService`).

        Raises ContractError when a servicer lacks a method of its contract, or a method lacks its policy.
        """
        return [
            grpc.method_handlers_generic_handler(
                service,
                {method.short_name: self._handler(method, servicer) for method in descriptors.methods_of(service)},
            )
            for service, servicer in servicers.items()
        ]

    @property
    def are_idle(self) -> bool:
        """Whether nothing runs now."""
        return not self._running

    async def finished(self, seconds: float) -> None:
        """Waits until nothing runs any more, for so long at most."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _handler(self, method: Method, servicer: object) -> "grpc.RpcMethodHandler[bytes, bytes]":
        implementation = getattr(servicer, method.short_name, None)
        if implementation is None:
            raise ContractError(
                f"{type(servicer).__name__} has no {method.short_name}, which {method.service} declares"
            )
        serve = self._serving(method, chain(self._interceptors, _innermost(method, implementation)))
        handler: grpc.RpcMethodHandler[bytes, bytes] = _KINDS[method.client_streaming, method.server_streaming](serve)
        return handler

    def _serving(self, method: Method, run: Proceed) -> Callable[[Any, Any], Awaitable[bytes | None]]:
        async def serve(raw_request: Any, context: Any) -> bytes | None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            try:
                call = Call(method, raw_request, context)
                await run(call)
                if call.problem:
                    await _fail(context, call.code)
                return call.reply
            finally:
                self._running.discard(task)

        return serve


# Bytes go in and out: messages are decoded, and answers encoded, inside the interceptors.
_KINDS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


async def _fail(context: Any, code: grpc.StatusCode) -> None:
    """Sends the status that was set, and nothing else.

    A status that is merely returned follows headers and an empty message, and a client that has seen headers retries
    nothing.
    """
    try:
        await context.abort(code)
    except grpc.aio.AbortError as aborted:
        # gRPC raises it again by itself. With its traceback it would hold the call it is held by, until the collector
        # comes round; and a server does not stop as long as a call is held.
        aborted.__traceback__ = None


def _innermost(method: Method, implementation: Callable[..., Any]) -> Proceed:
    async def answer_once(call: Call) -> None:
        response = await implementation(call.requests if method.client_streaming else call.request, call)
        call.reply = response.SerializeToString()

    async def answer_many(call: Call) -> None:
        # A call may be given up while it is answered: the servicer cleans up then, not when its garbage is collected.
        async with aclosing(
            implementation(call.requests if method.client_streaming else call.request, call)
        ) as answers:
            async for response in answers:
                await call.context.write(response.SerializeToString())

    return answer_many if method.server_streaming else answer_once
