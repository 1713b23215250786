"""Certificates made in milliseconds: good ones, and every kind of bad one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def encrypted_key_pem(self, password: bytes) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password))

    def write(self, directory: Path, *, certificate: str = "tls.crt", key: str = "tls.key") -> Path:
        """Puts the pair into `directory` as one of the layouts of a certificate directory; answers the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        for name, content in ((certificate, self.certificate_pem), (key, self.key_pem)):
            (directory / name).write_bytes(content)
            (directory / name).chmod(0o644)
        return directory


class Authority:
    """A certificate authority that issues whatever a test asks for."""

    def __init__(self, name: str = "Test CA", key: ec.EllipticCurvePrivateKey | None = None, *, days: int = 365):
        self.name = name
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=2)).not_valid_after(now() + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False),
                critical=True)
            .sign(key, hashes.SHA256()))
        self.pair = Pair(certificate, key)

    @property
    def pem(self) -> bytes:
        return self.pair.certificate_pem

    def renewed(self) -> "Authority":
        """The same name and key under another certificate."""
        return Authority(self.name, self.pair.key)

    def write(self, directory: Path, name: str = "ca.crt") -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        (directory / name).write_bytes(self.pem)
        (directory / name).chmod(0o644)
        return directory

    def issue(
        self, common_name: str, *, usages: tuple = (SERVER, CLIENT), dns: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (), uris: tuple[str, ...] = (), not_before: timedelta = timedelta(days=-1),
        not_after: timedelta = timedelta(days=90), serial: int | None = None, organization: str | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Pair:
        """A leaf; `not_before` and `not_after` count from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes)).issuer_name(self.pair.certificate.subject)
            .public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
            .not_valid_before(now() + not_before).not_valid_after(now() + not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.pair.key.public_key()), critical=False))
        names = [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return Pair(builder.sign(self.pair.key, hashes.SHA256()), key)

    def server(self, common_name: str = "server", **fields) -> Pair:
        fields.setdefault("dns", ("localhost",))
        fields.setdefault("addresses", ("127.0.0.1", "::1"))
        return self.issue(common_name, usages=(SERVER,), **fields)

    def client(self, common_name: str = "client", **fields) -> Pair:
        return self.issue(common_name, usages=(CLIENT,), **fields)

    def self_signed(self) -> Pair:
        """A client's leaf with the authority's own name and key."""
        return self.client(self.name, key=self.pair.key)

    def expired(self, common_name: str = "expired", **fields) -> Pair:
        return self.client(common_name, not_before=timedelta(days=-2), not_after=timedelta(hours=-1), **fields)

    def not_yet_valid(self, common_name: str = "early", **fields) -> Pair:
        return self.client(common_name, not_before=timedelta(days=2), not_after=timedelta(days=3), **fields)


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
