"""Idempotency: a call that changes something is answered once; a repeat of its idempotency key, the request id, gets that answer again."""

from contextlib import AbstractAsyncContextManager

from chassis.contract.descriptors import Caller
from chassis.core import failpoints
from chassis.database import Transaction
from chassis.rpc.call import Call
from chassis.rpc.idempotency import Claim, Replay, RequestStore
from chassis.rpc.interceptor import Proceed


class AnswerOnce:
    """Looks the stored answer up before any work is done, and lets a servicer claim its request with `call.once()`."""

    def __init__(self, requests: RequestStore) -> None:
        self._requests = requests

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Proceeds, or answers from the store."""
        if not call.method.has_request_id or call.method.client_streaming:
            await proceed(call)
            return
        assert call.request is not None
        claim = self._requests.claim(_principal(call), call.method, call.request)
        call.once_factory = once = _Once(self._requests, claim)
        try:
            # Strangers are known by the work alone: a login's password is asked for again, whatever has been answered.
            if call.method.caller is not Caller.ANYONE:
                await self._requests.replay(claim)
            await proceed(call)
        except Replay as replay:
            call.reply = replay.reply
        else:
            if not once.is_used:
                raise RuntimeError(f"{call.method.name} answered without remembering its answer: use call.once()")
        finally:
            await failpoints.reach(f"{call.method.name}.reply")


class _Once:
    """The store, bound to one claim."""

    def __init__(self, requests: RequestStore, claim: Claim) -> None:
        self._requests = requests
        self._claim = claim
        self.is_used = False

    def __call__(self, *, keep_forever: bool = False) -> AbstractAsyncContextManager[Transaction]:
        self.is_used = True
        return self._requests.once(self._claim, keep_forever=keep_forever)


def _principal(call: Call) -> str:
    """Whose claim it is: the user's, of a method that needs one; else the calling service's, if there is any.

    Whoever may call without a token may repeat without it: one that came along makes no difference. Strangers share
    their claims, then, and are kept from each other's answers by the fingerprint: an answer is given only to whoever
    sends the whole request again, with the password or the refresh token that is in it.
    """
    needs_user = call.method.caller in (Caller.CUSTOMER, Caller.STAFF)
    return call.user.subject if needs_user else call.peer
