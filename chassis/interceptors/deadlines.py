"""Deadline: the caller's or the policy's, whichever is shorter, binds everything done for the call."""

from chassis import deadline, errors
from chassis.call import Call
from chassis.interceptors import Proceed


async def bound_deadline(call: Call, proceed: Proceed) -> None:
    """Proceeds within the time there is. Raises DeadlineExceeded when there is none, or no longer."""
    seconds = call.method.timeout
    left = call.context.time_remaining()
    if left is not None and left < seconds:
        seconds = left
    if seconds <= 0:
        message = "the deadline had passed before any work was done"
        raise errors.DeadlineExceeded(message)
    async with deadline.bound(seconds):
        await proceed(call)
