"""What identity is told from outside."""

from dataclasses import dataclass

from chassis.core.secret import Secret
from chassis.core.settings import SettingsError, keyring


@dataclass(frozen=True)
class Settings:
    """What identity cannot do without, and how much it hashes at a time."""

    signing_key_secret: Secret
    """Keys (chassis.core.sealing) that seal the signing keys at rest: whoever has them and the database can issue any token."""
    staff_email: Secret | None = None
    """With its password: the account that runs the shop, opened when it is not there. None: no such account."""
    staff_password: Secret | None = None
    hashing_threads: int = 2
    """How many passwords are hashed at a time; each keeps a core busy and takes 19 MiB."""
    hashing_queue: int = 32
    """How many more may wait for that."""

    def __post_init__(self) -> None:
        """Refuse half an account, and keys that are none."""
        keyring("signing_key_secret", self.signing_key_secret)
        if bool(self.staff_email) != bool(self.staff_password):
            raise SettingsError("secrets staff_email and staff_password belong together: one of them is missing")
