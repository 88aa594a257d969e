"""Problems as gRPC statuses with google.rpc details, and back."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from chassis.core import errors
from chassis.core.errors import Kind, Obstacle, Problem, Violation

DOMAIN = "tradewind.dev"
DETAILS_KEY = "grpc-status-details-bin"

# Enough to mend a form by. Of statuses longer than eight kibibytes, gRPC's clients throw some away, and tell nothing.
MAX_ITEM_BYTES = 4096

Item = TypeVar("Item", bound=Violation | Obstacle)
Detail: TypeAlias = (
    error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.PreconditionFailure
    | error_details_pb2.RetryInfo
)

CODES = {kind: next(code for code in grpc.StatusCode if code.value[0] == kind.value) for kind in Kind}

# What a code means without details. A server that stops says CANCELLED; who gives up a call of theirs is not told.
_UNTOLD = {CODES[kind]: problem for kind, problem in errors.BY_KIND.items()} | {
    grpc.StatusCode.CANCELLED: errors.Unavailable
}


def to_status(problem: Problem) -> status_pb2.Status:
    """The problem as a google.rpc.Status: ErrorInfo always, the others where they say something.

    BadRequest and PreconditionFailure name as many of what failed as fit into MAX_ITEM_BYTES.
    """
    status = status_pb2.Status(code=problem.kind.value, message=problem.message)
    _attach(status, error_details_pb2.ErrorInfo(reason=problem.reason, domain=DOMAIN, metadata=problem.metadata))
    if isinstance(problem, errors.InvalidArgument) and problem.violations:
        _attach(status, _bad_request(problem.violations))
    if isinstance(problem, errors.FailedPrecondition) and problem.obstacles:
        _attach(status, _precondition_failure(problem.obstacles))
    if problem.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(problem.retry_after)
        _attach(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_status(status: status_pb2.Status) -> Problem:
    """The problem a status tells of. A status without our details becomes a problem of its code alone."""
    info, delay = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad_request, failure = error_details_pb2.BadRequest(), error_details_pb2.PreconditionFailure()
    for detail in status.details:
        for known in (info, bad_request, failure, delay):
            detail.Unpack(known)
    kind = Kind(status.code) if status.code in {k.value for k in Kind} else Kind.INTERNAL
    retry_after = delay.retry_delay.ToTimedelta() if delay.HasField("retry_delay") else None
    problem = _problem(kind, status.message, info.reason or kind.name, retry_after)
    # Not by keyword: whoever is asked may call a key `reason`.
    problem.metadata = dict(info.metadata)
    if isinstance(problem, errors.InvalidArgument):
        problem.violations = tuple(Violation(v.field, v.description, v.reason) for v in bad_request.field_violations)
    if isinstance(problem, errors.FailedPrecondition):
        problem.obstacles = tuple(Obstacle(v.type, v.subject, v.description) for v in failure.violations)
    return problem


def from_rpc_error(error: grpc.aio.AioRpcError) -> Problem:
    """The problem a failed call tells of. UNKNOWN and the like, which no Tradewind service sends, become Internal."""
    told = _told(error)
    if told.code == error.code().value[0]:
        return from_status(told)
    return _UNTOLD.get(error.code(), errors.Internal)(
        error.details() or error.code().name, reason=f"PEER_{error.code().name}"
    )


def _told(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            with suppress(DecodeError):
                return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def _problem(kind: Kind, message: str, reason: str, retry_after: timedelta | None) -> Problem:
    if kind is Kind.INVALID_ARGUMENT:
        return errors.InvalidArgument(message, reason=reason)
    return errors.BY_KIND[kind](message, reason=reason, retry_after=retry_after)


def _bad_request(violations: tuple[Violation, ...]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description, reason=v.reason)
            for v in _fitting(violations)
        ]
    )


def _precondition_failure(obstacles: tuple[Obstacle, ...]) -> error_details_pb2.PreconditionFailure:
    return error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(type=o.type, subject=o.subject, description=o.description)
            for o in _fitting(obstacles)
        ]
    )


def _fitting(items: Iterable[Item]) -> Iterator[Item]:
    """The first of them, as many as fit."""
    size = 0
    for each in items:
        size += sum(len(text.encode()) for text in vars(each).values())
        if size > MAX_ITEM_BYTES:
            return
        yield each


def _attach(status: status_pb2.Status, detail: Detail) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
