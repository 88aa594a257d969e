"""Authorization: the method's policy says which users, the callers' manifests say which services."""

from collections.abc import Mapping

from chassis.contract.descriptors import Caller
from chassis.core import errors
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

EDGE = "edge"
"""The identity of the gateway. It may call whatever is open to users, and nothing else."""


class Authorize:
    """Lets a call through if its policy does. `callers`: method name → the services whose manifests name it."""

    def __init__(self, callers: Mapping[str, frozenset[str]]) -> None:
        self._callers = callers

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Proceeds, or raises Unauthenticated or PermissionDenied."""
        self._check_peer(call)
        _check_user(call)
        await proceed(call)

    def _check_peer(self, call: Call) -> None:
        only_services = call.method.caller is Caller.SERVICE
        if only_services and not call.peer:
            raise errors.PermissionDenied(
                "only services may call this, and the caller has no identity", reason="PEER_UNKNOWN"
            )
        if (call.peer and call.peer != EDGE) or only_services:
            self._check_declared(call)

    def _check_declared(self, call: Call) -> None:
        if call.peer not in self._callers.get(call.method.name, ()):
            raise errors.PermissionDenied(
                f"the manifest of {call.peer} does not name {call.method.name} among its calls",
                reason="CALL_NOT_DECLARED",
                peer=call.peer,
            )


def _check_user(call: Call) -> None:
    if call.method.caller in (Caller.ANYONE, Caller.SERVICE):
        return
    user = call.user
    if call.method.caller is Caller.STAFF and not user.is_staff:
        raise errors.PermissionDenied("only staff may do this", reason="ROLE_MISSING", role="staff")
