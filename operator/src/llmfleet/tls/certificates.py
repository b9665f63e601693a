"""The certificates that the operator makes for itself: one CA, and one serving certificate by it. Pure but for the random keys; time is an argument.

The CA lives ten years and its certificate is what clients are told to trust; the leaf lives one and changes without telling anyone. ECDSA P-256: small, fast to
make, and taken by every client. Key usages and key identifiers are complete: Python 3.13 verifies with VERIFY_X509_STRICT, which asks for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)

RENEW_AFTER: Final = 2 / 3
"""Share of a life after which a certificate is made anew, as cert-manager does: months are left to notice that it fails."""

_BACKDATED: Final = timedelta(minutes=5)
"""Clocks of other nodes may be behind ours."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """All in PEM."""

    bundle: str
    """What clients trust: the CA, and behind it the one before while that is valid."""
    ca_key: str
    certificate: str
    key: str


def dns_names(service: str, namespace: str) -> tuple[str, ...]:
    """How a Service is called from inside the cluster; the aggregator verifies the first."""
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")


def current(known: Credentials | None, names: Sequence[str], now: datetime) -> Credentials:
    """The credentials to use: those known (the same object) while they are good, else renewed ones, by the same CA while that is good."""
    if known is None or not _readable(known):
        return _made(names, now, previous_bundle="")
    authorities = x509.load_pem_x509_certificates(known.bundle.encode())
    authority = authorities[0]
    if _is_due(authority, now):
        valid = [old for old in authorities if old.not_valid_after_utc > now][:1]
        return _made(names, now, previous_bundle="".join(_pem(old) for old in valid))
    leaf = x509.load_pem_x509_certificate(known.certificate.encode())
    if _is_due(leaf, now) or _names(leaf) != set(names) or not _issued_by(leaf, authority):
        certificate, key = _leaf(names, authority, _private_key(known.ca_key), now)
        return Credentials(known.bundle, known.ca_key, certificate, key)
    return known


def _made(names: Sequence[str], now: datetime, previous_bundle: str) -> Credentials:
    authority, authority_key = _authority(now)
    certificate, key = _leaf(names, authority, authority_key, now)
    return Credentials(_pem(authority) + previous_bundle, _key_pem(authority_key), certificate, key)


def _authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The moment is part of the name: a client that trusts an old and a new CA must not mistake one for the other.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"llmfleet {now:%Y-%m-%dT%H:%M:%S}")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - _BACKDATED, now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _leaf(names: Sequence[str], authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: datetime) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    # No common name: a Service's name may be longer than the 64 characters that fit, and only the alternative names are read.
    certificate = (
        x509.CertificateBuilder(authority.subject, x509.Name([]), key.public_key(), x509.random_serial_number(), now - _BACKDATED, now + LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _readable(known: Credentials) -> bool:
    """Whether every part can be read, and the keys belong to their certificates; a Secret may hold anything."""
    try:
        authority = x509.load_pem_x509_certificates(known.bundle.encode())[0]
        leaf = x509.load_pem_x509_certificate(known.certificate.encode())
        pairs = ((authority, _private_key(known.ca_key)), (leaf, _private_key(known.key)))
    except (ValueError, TypeError):
        return False
    return all(certificate.public_key() == key.public_key() for certificate, key in pairs)


def _is_due(certificate: x509.Certificate, now: datetime) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now >= certificate.not_valid_before_utc + life * RENEW_AFTER or now < certificate.not_valid_before_utc


def _names(leaf: x509.Certificate) -> set[str]:
    try:
        return set(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        return set()


def _issued_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):  # Another key, another name, another algorithm.
        return False
    return True


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic curve key")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
