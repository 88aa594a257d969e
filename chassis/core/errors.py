"""Every error a caller may see.

Problem
├── InvalidArgument      fix the request; carries every violation found
├── Unauthenticated      say who you are
├── PermissionDenied     you may not
├── NotFound
├── AlreadyExists
├── FailedPrecondition   do not retry until something else has changed
├── OutOfRange
├── Aborted              retry the whole transaction
├── ResourceExhausted    slow down
├── Unavailable          retry the call
├── DeadlineExceeded     outcome unknown: retry with the same request id
├── Cancelled            the caller gave up
└── Internal             our bug; its error id is in the log

A service subclasses one of these in its `domain.py` and gives it a `reason`. `chassis.contract.status` alone turns them into
gRPC statuses and back. A `TransientProblem` may pass by itself; every other one stays true until somebody acts.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """The canonical codes (google.rpc.Code) a problem can have; values are the numbers on the wire."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Problem(Exception):
    """Something a caller is told. `reason` is UPPER_SNAKE and stable; `message` is for people; `metadata` for programs.

    The keys of `metadata` are names, written down in the contract; what fails several times over is told of by violations
    or obstacles. None of them may hold a secret, a token, a card or an address.
    """

    kind: ClassVar[Kind]
    reason: str = "UNSPECIFIED"
    is_transient: ClassVar[bool] = False
    keeps_effect: ClassVar[bool] = False
    """Raised inside `Call.once`, it undoes nothing: what was done before is committed together with the refusal."""

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after: timedelta | None = None, **metadata: str
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.retry_after = retry_after
        self.metadata = metadata

    def __str__(self) -> str:
        return f"{self.kind.name} {self.reason}: {self.message}"


class TransientProblem(Problem):
    """A problem that may pass by itself, or whose outcome is unknown: trying again is right, storing it is wrong."""

    is_transient = True


@dataclass(frozen=True)
class Obstacle:
    """One thing of several that stands in the way: a google.rpc.PreconditionFailure.Violation."""

    type: str
    """UPPER_SNAKE and stable, for example `OUT_OF_STOCK`."""
    subject: str
    """What it is about, for example a SKU."""
    description: str


@dataclass(frozen=True)
class Violation:
    """One failing field. `field` is its path as in the proto, for example `items[2].quantity`."""

    field: str
    description: str
    reason: str = ""


class InvalidArgument(Problem):
    """The request is wrong in itself; every violation is listed."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, *, reason: str | None = None, violations: tuple[Violation, ...] = (), **metadata: str
    ) -> None:
        super().__init__(message, reason=reason, retry_after=None, **metadata)
        self.violations = violations


class Unauthenticated(Problem):
    """The caller did not prove who they are."""

    kind = Kind.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(Problem):
    """The caller is known, and may not."""

    kind = Kind.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotFound(Problem):
    """There is no such thing, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(Problem):
    """There is such a thing already."""

    kind = Kind.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPrecondition(Problem):
    """The system is not in a state to do it; asking again changes nothing. Names every obstacle, where there are several."""

    kind = Kind.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after: timedelta | None = None,
        obstacles: tuple[Obstacle, ...] = (),
        **metadata: str,
    ) -> None:
        super().__init__(message, reason=reason, retry_after=retry_after, **metadata)
        self.obstacles = obstacles


class OutOfRange(Problem):
    """Past the end of something."""

    kind = Kind.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class Aborted(TransientProblem):
    """Somebody else was faster: read again, then try again."""

    kind = Kind.ABORTED
    reason = "ABORTED"


class ResourceExhausted(TransientProblem):
    """Too much, or too often."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(TransientProblem):
    """Something needed is not there now."""

    kind = Kind.UNAVAILABLE
    reason = "UNAVAILABLE"


class DeadlineExceeded(TransientProblem):
    """Time ran out; whether it was done is unknown."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Cancelled(TransientProblem):
    """The caller gave up."""

    kind = Kind.CANCELLED
    reason = "CANCELLED"


class Internal(TransientProblem):
    """A bug of ours."""

    kind = Kind.INTERNAL
    reason = "INTERNAL"


BY_KIND: dict[Kind, type[Problem]] = {
    cls.kind: cls
    for cls in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        OutOfRange,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Internal,
    )
}
