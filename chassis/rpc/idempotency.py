"""The store of idempotency keys: an effect and its answer are kept together, so that a request sent again gets the first answer.

The stored answer is looked up before anything is done for a request. Then the claim on the request's id (the idempotency
key), the effect, its facts and the answer are one transaction. A duplicate that comes while the first is at work waits
for it at the claim's unique key; one that comes later is answered at once, whoever else cannot be reached then.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from google.protobuf.message import Message
from google.rpc import status_pb2

from chassis.contract import status
from chassis.contract.descriptors import Method
from chassis.core import errors, ids
from chassis.core.sealing import Authenticator, Keyring, Sealer, UnknownKey
from chassis.database import AlreadyProcessed, Command, Database, Guard, Row, Transaction
from chassis.database.statements import Statements

KEPT = timedelta(days=7)
SWEEP_BATCH = 5_000

SQL = Statements("chassis.rpc", "sql/request.sql")


class RequestIdReused(errors.FailedPrecondition):
    """The request id has been used before, for something else."""

    reason = "REQUEST_ID_REUSED"


class ReplyKeyUnknown(errors.Unavailable):
    """The answer was kept under a key that this process has not been given yet, or no longer has."""

    reason = "REPLY_KEY_UNKNOWN"


class Replay(Exception):
    """The request has been answered before; `reply` is the serialized response it got."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("this request has been answered before")
        self.reply = reply


class Once(Protocol):
    """What `Call.once` is made of: the store, bound to one claim."""

    def __call__(self, *, keep_forever: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """The transaction that holds the claim, or the answer given before as an exception."""
        ...


@dataclass(frozen=True)
class Key:
    """What tells one request from every other."""

    principal: str
    """The user's id, or the calling service; empty when there is neither."""
    method: str
    request_id: str

    @property
    def columns(self) -> dict[str, str]:
        """As the statements take it."""
        return {"principal": self.principal, "method": self.method, "request_id": self.request_id}


@dataclass(frozen=True)
class Claim:
    """A request that wants to take effect once."""

    key: Key
    content: bytes
    """All the request says besides its id."""
    fingerprint: bytes
    """A keyed code of the content: it tells nothing of a password in the request."""
    is_sealed: bool


class RequestStore:
    """The answers of one service. Those that hold secrets are sealed with the keys of `reply_key`."""

    def __init__(self, database: Database, reply_keys: Keyring) -> None:
        self._database = database
        self._fingerprints = Authenticator(reply_keys, "fingerprints of requests")
        self._replies = Sealer(reply_keys, "stored replies")

    def claim(self, principal: str, method: Method, request: Message) -> Claim:
        """The claim of a request, with a fingerprint of all it says besides its id."""
        anonymous = type(request)()
        anonymous.CopyFrom(request)
        anonymous.ClearField("request_id")
        content = anonymous.SerializeToString(deterministic=True)
        request_id: str = request.request_id  # type: ignore[attr-defined]  # the caller has looked: Method.has_request_id
        key = Key(principal, method.name, ids.canonical(request_id))
        return Claim(key, content, self._fingerprints.code(content), method.is_sealed)

    @asynccontextmanager
    async def once(self, claim: Claim, *, keep_forever: bool = False) -> AsyncIterator[Transaction]:
        """A transaction that holds the claim, to be answered with `Transaction.reply`.

        Raises Replay when the claim was answered before, the Problem when it was refused, RequestIdReused when it was
        for something else. A permanent Problem raised inside becomes the answer, and undoes the effect unless it says
        that it keeps it.
        """
        final = None
        try:
            async with self._database.transaction(_claiming(claim, keep_forever=keep_forever)) as tx:
                try:
                    yield tx
                except errors.Problem as problem:
                    if not problem.keeps_effect:
                        raise
                    final = problem
                reply, refusal = (None, _serialized(final)) if final else (self._kept(claim, tx), None)
                tx.before_commit(SQL.keep_answer, **claim.key.columns, reply=reply, refusal=refusal)
        except AlreadyProcessed:
            raise await self._stored_answer(claim) from None
        except errors.Problem as problem:
            if not problem.is_transient:
                await self._keep_refusal(claim, problem, keep_forever=keep_forever)
            raise
        if final:
            raise final

    async def replay(self, claim: Claim) -> None:
        """Look the answer up, before any work is done. Raises what `once` would raise for a claim that has one."""
        async with self._database.read() as reader:
            stored = await reader.first(SQL.stored_answer, **claim.key.columns)
        if stored:
            raise self._answer(claim, stored)

    async def sweep(self) -> None:
        """Forget the answers nobody will ask for again."""
        async with self._database.read() as database:
            while await database.execute(SQL.sweep, age=KEPT, batch=SWEEP_BATCH) == SWEEP_BATCH:
                pass

    async def _keep_refusal(self, claim: Claim, problem: errors.Problem, *, keep_forever: bool) -> None:
        try:
            async with self._database.transaction(
                _claiming(claim, keep_forever=keep_forever, refusal=_serialized(problem))
            ):
                pass
        except AlreadyProcessed:
            # It had its answer, or a duplicate has given one since the rollback let go of the claim.
            raise await self._stored_answer(claim) from problem

    async def _stored_answer(self, claim: Claim) -> Exception:
        async with self._database.read() as reader:
            stored = await reader.one(SQL.stored_answer, **claim.key.columns)
        return self._answer(claim, stored)

    def _answer(self, claim: Claim, stored: Row) -> Exception:
        try:
            return self._opened(claim, stored)
        except UnknownKey:
            # In the middle of a rotation another process may have it. The effect is not repeated for want of a key.
            return ReplyKeyUnknown("this request was answered, and the key of its answer is not known here")

    def _opened(self, claim: Claim, stored: Row) -> Exception:
        if not self._fingerprints.is_authentic(bytes(stored["fingerprint"]), claim.content):
            return RequestIdReused("this request_id was used before with other content")
        if stored["refusal"] is not None:
            return status.from_status(status_pb2.Status.FromString(stored["refusal"]))
        return Replay(self._unsealed(claim, stored["reply"]))

    def _kept(self, claim: Claim, tx: Transaction) -> bytes:
        if tx.answer is None:
            raise RuntimeError(f"{claim.key.method} took effect without an answer: return tx.reply(response)")
        reply = tx.answer.SerializeToString()
        if not claim.is_sealed:
            return reply
        return self._replies.seal(reply, _context(claim.key))

    def _unsealed(self, claim: Claim, reply: bytes) -> bytes:
        if not claim.is_sealed:
            return reply
        return self._replies.open(reply, _context(claim.key))


def _claiming(claim: Claim, *, keep_forever: bool, refusal: bytes | None = None) -> Guard:
    """What takes hold of a claim, unless it has its answer."""
    values = {**claim.key.columns, "fingerprint": claim.fingerprint, "kept_forever": keep_forever, "refusal": refusal}
    return Guard(Command(SQL.claim, values))


def _serialized(problem: errors.Problem) -> bytes:
    refusal: bytes = status.to_status(problem).SerializeToString()
    return refusal


def _context(key: Key) -> bytes:
    """What a sealed reply is bound to: moved to another row, it cannot be opened."""
    return f"{key.principal}\n{key.method}\n{key.request_id}".encode()
