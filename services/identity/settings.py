"""What differs from one installation to the next."""

from dataclasses import dataclass

from chassis.settings import Secret


@dataclass(frozen=True)
class Settings:
    """`staff_email` and `staff_password` open the first staff account; the secret seals the signing keys at rest."""

    token_issuer: str
    token_audience: str
    signing_key_secret: Secret
    staff_email: Secret
    staff_password: Secret
    hashing_threads: int = 2
    hashing_queue: int = 32
