"""What the catalogue is told from outside."""

from dataclasses import dataclass

from chassis.settings import Secret


@dataclass(frozen=True)
class Settings:
    """`page_key` signs page tokens: whoever has it can make up cursors, and no more."""

    page_key: Secret
