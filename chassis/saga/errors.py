"""Why a saga does not do what it is told."""

from chassis.core import errors


class FenceLost(Exception):
    """Another driver has claimed the saga since its fence (the fencing token) was read: this one must let go of it."""


class CancelTooLate(errors.FailedPrecondition):
    """The saga has reached its point of no return, or has ended."""

    reason = "CANCEL_TOO_LATE"


class AlreadyCompensating(errors.FailedPrecondition):
    """What was done is being undone already."""

    reason = "SAGA_ALREADY_COMPENSATING"


class AlreadyFinished(errors.FailedPrecondition):
    """The saga has ended; nothing is left to retry or to force."""

    reason = "SAGA_ALREADY_FINISHED"


class ForceNotPossible(errors.FailedPrecondition):
    """The outcome asked for cannot be reached from where the saga stands."""

    reason = "SAGA_FORCE_NOT_POSSIBLE"


class SagaUnreadable(errors.FailedPrecondition):
    """This process cannot read the saga: another version of its program has written it, and drives it."""

    reason = "SAGA_UNREADABLE"


class SagaNotFound(errors.NotFound):
    """No saga has this id."""

    reason = "SAGA_NOT_FOUND"
