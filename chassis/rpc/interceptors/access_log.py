"""Logging: one line a call, with its code and duration. Never a body, a token or an address."""

import time

from chassis.core import logs
from chassis.core.errors import Kind
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

log = logs.logger("chassis.access")


async def log_call(call: Call, proceed: Proceed) -> None:
    """Writes the line when the call has ended, however it did."""
    began = time.perf_counter()
    try:
        await proceed(call)
    finally:
        _write(call, 1000 * (time.perf_counter() - began))


def _write(call: Call, milliseconds: float) -> None:
    problem = call.problem
    write = log.error if problem is not None and problem.kind is Kind.INTERNAL else log.info
    write(
        "call",
        method=call.method.name,
        code=call.code.name,
        ms=round(milliseconds, 3),
        peer=call.peer,
        **({"reason": problem.reason} if problem is not None else {}),
    )
