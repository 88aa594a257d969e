"""Correlation: the request id every log line of one request shares, in every service it passes."""

import random

from chassis import call as calls
from chassis.call import Call
from chassis.interceptors import Proceed

REQUEST_ID_KEY = "x-request-id"
_MAX_LENGTH = 64


async def correlate(call: Call, proceed: Proceed) -> None:
    """Takes the caller's request id, or makes one, and makes the call known to everything below."""
    given = str(call.metadata.get(REQUEST_ID_KEY, ""))
    call.request_id = given if given.isascii() and 0 < len(given) <= _MAX_LENGTH else f"{random.getrandbits(128):032x}"
    calls.set_current(call)
    await proceed(call)
