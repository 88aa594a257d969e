"""What a refused call looks like to its caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from chassis.contract import status
from chassis.core.errors import Problem


@dataclass
class Refusal:
    """How the call was refused; known once the block has ended."""

    problem: Problem | None = None


@contextmanager
def refused(kind: type[Problem], reason: str) -> Iterator[Refusal]:
    """Expects the block to end in a call that is refused for this reason."""
    refusal = Refusal()
    try:
        yield refusal
    except grpc.aio.AioRpcError as error:
        refusal.problem = status.from_rpc_error(error)
        assert (type(refusal.problem), refusal.problem.reason) == (kind, reason), str(refusal.problem)
    else:
        raise AssertionError(f"the call was answered instead of refused with {reason}")
