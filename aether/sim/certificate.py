"""A certificate for the sandbox's own address, by an authority that is made with it and that nobody else trusts."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aether.domain.values import NANOS_PER_S

LIFE = timedelta(days=90)
_BEFORE = timedelta(days=1)  # a client whose clock lags does not find it not yet valid

CA_FILE = "sandbox-ca.pem"
CERTIFICATE_FILE = "sandbox-cert.pem"
KEY_FILE = "sandbox-key.pem"


@dataclass(frozen=True, slots=True)
class Secured:
    """What a listener needs, and the file that a client must trust."""

    context: ssl.SSLContext
    ca: Path


def secure(directory: Path, host: str, now_ns: int) -> Secured:
    """Make an authority and a certificate of this IP address and of `localhost`, for 90 days; a new one at each start.

    Files in `directory`: authority and certificate for everybody (0644), the certificate's key for us alone (0600). The
    authority's key is kept nowhere, so that it can sign nothing else. Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.fromtimestamp(now_ns // NANOS_PER_S, UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _authority(ca_key, now)
    certificate = _certificate(ca, ca_key, key.public_key(), host, now)
    _write(directory / CA_FILE, _pem(ca), 0o644)
    _write(directory / CERTIFICATE_FILE, _pem(certificate), 0o644)
    _write(directory / KEY_FILE, _key_pem(key), 0o600)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    return Secured(context, (directory / CA_FILE).absolute())


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("Aether sandbox authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    host: str,
    now: datetime,
) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")])
    return (
        _builder(_name("Aether sandbox"), ca.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    return (
        builder.serial_number(x509.random_serial_number()).not_valid_before(now - _BEFORE).not_valid_after(now + LIFE)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encryption = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
