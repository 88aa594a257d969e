"""What tests of a service need: the service in this process behind its real interceptors, tokens, a clock to move."""

from chassis.testing.clock import ManualClock
from chassis.testing.refusals import Refusal, refused
from chassis.testing.service import RunningService, running
from chassis.testing.tokens import Tokens

__all__ = ["ManualClock", "Refusal", "RunningService", "Tokens", "refused", "running"]
