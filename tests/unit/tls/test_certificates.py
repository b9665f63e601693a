from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from llmfleet.tls.certificates import CA_LIFE, LEAF_LIFE, Credentials, current, dns_names

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAMES = dns_names("llmfleet", "llmfleet-system")


def leaf_of(credentials: Credentials) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credentials.certificate.encode())


def authorities_of(credentials: Credentials) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(credentials.bundle.encode())


def verify(credentials: Credentials, bundle: str, at: datetime, name: str = NAMES[0]) -> None:
    """As a strict client does: RFC 5280 and the CA/Browser Forum's profile."""
    store = Store(x509.load_pem_x509_certificates(bundle.encode()))
    PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(name)).verify(leaf_of(credentials), [])


def test_the_names_are_those_of_the_service() -> None:
    assert NAMES == ("llmfleet.llmfleet-system.svc", "llmfleet.llmfleet-system.svc.cluster.local")


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_client_trusts_the_certificate(name: str) -> None:
    made = current(None, NAMES, NOW)
    verify(made, made.bundle, NOW, name)
    with pytest.raises(VerificationError):
        verify(made, made.bundle, NOW, "another.llmfleet-system.svc")


def test_the_certificate_serves_and_signs_nothing() -> None:
    leaf = leaf_of(current(None, NAMES, NOW))
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_good_credentials_are_kept() -> None:
    made = current(None, NAMES, NOW)
    assert current(made, NAMES, NOW) is made
    assert current(made, NAMES, NOW + LEAF_LIFE * 0.66) is made


def test_the_leaf_is_renewed_by_the_same_authority_after_two_thirds_of_its_life() -> None:
    made = current(None, NAMES, NOW)
    later = NOW + LEAF_LIFE * 0.67
    renewed = current(made, NAMES, later)
    assert renewed.certificate != made.certificate
    assert (renewed.bundle, renewed.ca_key) == (made.bundle, made.ca_key)
    verify(renewed, made.bundle, later)


def test_an_expired_leaf_is_renewed() -> None:
    made = current(None, NAMES, NOW)
    verify(current(made, NAMES, NOW + 2 * LEAF_LIFE), made.bundle, NOW + 2 * LEAF_LIFE)


def test_another_service_name_renews_the_leaf() -> None:
    made = current(None, NAMES, NOW)
    renamed = dns_names("metrics", "llmfleet-system")
    verify(current(made, renamed, NOW), made.bundle, NOW, renamed[0])


def test_when_the_authority_is_renewed_the_bundle_holds_the_old_one_too() -> None:
    """Until every replica serves the new leaf, clients meet both."""
    later = NOW + CA_LIFE * 0.67
    made = current(current(None, NAMES, NOW), NAMES, later - timedelta(days=30))
    renewed = current(made, NAMES, later)
    assert [authority.subject for authority in authorities_of(renewed)[1:]] == [authorities_of(made)[0].subject]
    verify(made, renewed.bundle, later)
    verify(renewed, renewed.bundle, later)
    assert len(authorities_of(current(renewed, NAMES, later + CA_LIFE * 0.67))) == 2


def test_an_expired_authority_is_not_trusted_any_more() -> None:
    made = current(None, NAMES, NOW)
    assert len(authorities_of(current(made, NAMES, NOW + CA_LIFE * 1.1))) == 1


@pytest.mark.parametrize("field", ["bundle", "ca_key", "certificate", "key"])
def test_what_cannot_be_read_is_made_anew(field: str) -> None:
    made = current(None, NAMES, NOW)
    for content in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        renewed = current(replace(made, **{field: content}), NAMES, NOW)
        verify(renewed, renewed.bundle, NOW)


@pytest.mark.parametrize("field", ["bundle", "ca_key", "certificate", "key"])
def test_parts_that_do_not_belong_together_are_made_anew(field: str) -> None:
    made, other = current(None, NAMES, NOW), current(None, NAMES, NOW + timedelta(seconds=1))
    renewed = current(replace(made, **{field: getattr(other, field)}), NAMES, NOW)
    verify(renewed, renewed.bundle, NOW)
    assert current(renewed, NAMES, NOW) is renewed
