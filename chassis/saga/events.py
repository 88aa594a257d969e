"""What can happen to a saga. Time arrives with the event: the machine has no clock."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Event:
    """Something that happened at an instant."""

    at: datetime


@dataclass(frozen=True)
class Resumed(Event):
    """A driver took the saga over, or its pause is over. The step at hand may have been called before."""


@dataclass(frozen=True)
class Succeeded(Event):
    """The step at hand was done, or undone."""


@dataclass(frozen=True)
class Failed(Event):
    """The step at hand gave no certain answer: it may have taken effect or not."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Refused(Event):
    """The step at hand was answered with a final no; this call had no effect."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Wish(Event):
    """Something a person asked for; `reason` is what the saga's failure is called if it turns back for it."""

    who: str
    why: str
    reason: str = ""


@dataclass(frozen=True)
class CancelAsked(Wish):
    """The customer wants everything undone."""


@dataclass(frozen=True)
class RetryAsked(Wish):
    """An operator wants the step at hand tried again, now."""


@dataclass(frozen=True)
class ForceCompleteAsked(Wish):
    """An operator vouches that the step at hand was done by hand and wants the saga to go on."""


@dataclass(frozen=True)
class ForceCompensateAsked(Wish):
    """An operator wants everything undone; where an undo is stuck, vouches that it was done by hand."""
