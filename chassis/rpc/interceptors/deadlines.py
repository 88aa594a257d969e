"""Deadline: the caller's or the policy's, whichever is shorter, binds everything done for the call."""

from chassis.core import deadline, errors
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

# By so much, at most, gRPC rounds up what a caller's deadline leaves.
ROUNDING_SECONDS = 0.02


async def bound_deadline(call: Call, proceed: Proceed) -> None:
    """Proceeds within the time there is. Raises DeadlineExceeded when there is none, or no longer."""
    left = call.time_left()
    if left <= 0:
        raise errors.DeadlineExceeded("the deadline had passed before any work was done")
    if left <= call.method.timeout + ROUNDING_SECONDS:
        # gRPC itself ends the call at its caller's deadline: no second timer is needed.
        deadline.shrink_to(left)
        await proceed(call)
        return
    async with deadline.timeout(call.method.timeout):
        await proceed(call)
