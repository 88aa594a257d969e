"""Deadline: the caller's or the policy's, whichever is shorter, binds everything done for the call."""

from chassis import deadline, errors
from chassis.call import Call
from chassis.interceptors import Proceed


async def bound_deadline(call: Call, proceed: Proceed) -> None:
    """Proceeds within the time there is. Raises DeadlineExceeded when there is none, or no longer."""
    seconds = min(call.method.timeout, call.time_left())
    if seconds <= 0:
        raise errors.DeadlineExceeded("the deadline had passed before any work was done")
    async with deadline.bound(seconds):
        await proceed(call)
