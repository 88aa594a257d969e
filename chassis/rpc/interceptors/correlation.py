"""The correlation id: the request id every log line of one request shares, in every service it passes."""

import random
import re

from chassis.core import logs
from chassis.rpc import call as calls
from chassis.rpc import metadata
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

# What is sent on to peers must be valid metadata.
_FORM = re.compile("[!-~]{1,64}")


async def correlate(call: Call, proceed: Proceed) -> None:
    """Takes the caller's request id, or makes one, and makes the call known to everything below."""
    given = str(call.metadata.get(metadata.REQUEST_ID, ""))
    call.request_id = given if _FORM.fullmatch(given) else f"{random.getrandbits(128):032x}"
    calls.set_current(call)
    logs.bind(request_id=call.request_id)
    await proceed(call)
