"""What identity is told from outside."""

from dataclasses import dataclass

from chassis.core.settings import Secret, SettingsError


@dataclass(frozen=True)
class Settings:
    """The secret seals the signing keys at rest: whoever has it and the database can issue any token."""

    signing_key_secret: Secret
    staff_email: Secret | None = None
    """With its password: the account that runs the shop, opened when it is not there. None: no such account."""
    staff_password: Secret | None = None
    hashing_threads: int = 2
    """How many passwords are hashed at a time; each keeps a core busy and takes 19 MiB."""
    hashing_queue: int = 32
    """How many more may wait for that."""

    def __post_init__(self) -> None:
        """Refuse half an account."""
        if bool(self.staff_email) != bool(self.staff_password):
            raise SettingsError("secrets staff_email and staff_password belong together: one of them is missing")
