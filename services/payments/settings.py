"""What payments is told from outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How patient payments is with its provider."""

    ask_again_seconds: float = 10.0
    """How long an outcome may stay unknown before it is asked for in the background. More than any call may take."""
    abandon_seconds: float = 900.0
    """How long a payment the provider never heard of may stay pending before it is closed."""
