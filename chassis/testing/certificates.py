"""Certificates as a mesh would mount them: a throw-away authority that signs SPIFFE ids."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from chassis.core.settings import RuntimeSettings


class Authority:
    """Signs certificates that are good for an hour."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tradewind test authority")])
        self._certificate = _builder(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.pem = self._certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        """Its own certificate."""

    def issue(self, service: str, directory: Path) -> Path:
        """Writes tls.key, tls.crt and ca.crt for a service into a new directory, and returns that."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.DNSName(service),
            x509.UniformResourceIdentifier(RuntimeSettings.spiffe_prefix + service),
        ]
        certificate = (
            _builder(x509.Name([]), self._name, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        directory.mkdir()
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / "tls.key").write_bytes(secret)
        (directory / "tls.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        (directory / "ca.crt").write_bytes(self.pem)
        return directory


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
    )
