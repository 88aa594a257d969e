"""Authentication: the user by their access token, the calling service by its identity. Nobody is believed, also not the edge."""

from chassis.core import errors, logs
from chassis.rpc import metadata
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed
from chassis.rpc.peer_identity import PeerOf
from chassis.rpc.tokens import TokenVerifier


class Authenticate:
    """Finds out who is calling. A bad token is refused even where none is needed."""

    def __init__(self, tokens: TokenVerifier, peer_of: PeerOf) -> None:
        self._tokens = tokens
        self._peer_of = peer_of

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Sets the call's principal and peer. Raises Unauthenticated."""
        call.peer = self._peer_of(call)
        header = call.metadata.get(metadata.AUTHORIZATION)
        if header is not None:
            call.token = _bearer(str(header))
            call.principal = await self._tokens.verify(call.token)
            logs.bind(principal=call.principal.subject)
        await proceed(call)


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise errors.Unauthenticated(
            "the authorization metadata must read `Bearer <access token>`", reason="TOKEN_INVALID"
        )
    return token
