import ssl

import pytest

from llmfleet_runtime.model import refusals
from llmfleet_runtime.model.failure import Reason
from llmfleet_runtime.model.source import Bucket, Repository, Scheme

REPOSITORY = Repository(Scheme.HUGGING_FACE, "acme/tiny", None)
BUCKET = Bucket(Scheme.S3, "models", "llama")


@pytest.mark.parametrize(
    ("error", "meaning", "remedy"),
    [
        (OSError(-2, "Name or service not known"), "its name is not known here", "DNS"),
        (OSError("Temporary failure in name resolution"), "its name is not known here", "NetworkPolicy"),
        (ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED: self-signed certificate"), "its TLS certificate is not trusted here", "SSL_CERT_FILE"),
        (OSError("407 Proxy Authentication Required"), "the proxy does not let us through", "HTTPS_PROXY"),
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there", "host and port"),
        (TimeoutError("timed out"), "it does not answer", "firewall"),
        (OSError(101, "Network is unreachable"), "it does not answer", "HTTPS_PROXY"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection broke", "it is tried again"),
    ],
)
def test_each_trouble_of_the_network_has_its_meaning_and_its_remedy(error: OSError, meaning: str, remedy: str) -> None:
    failure = refusals.unreachable("https://hub.example", error)
    assert failure.reason is Reason.SOURCE_UNREACHABLE
    assert failure.message.startswith(f"https://hub.example cannot be reached: {meaning}")
    assert remedy in failure.message


def test_the_cause_is_found_however_deep_libraries_have_wrapped_it() -> None:
    inner = ConnectionRefusedError(111, "Connection refused")
    middle = RuntimeError("something went wrong")
    middle.__cause__ = inner
    assert "nothing listens there" in refusals.unreachable("x", RuntimeError(middle)).message


def test_without_credentials_the_message_asks_for_a_secret() -> None:
    assert refusals.access_denied(REPOSITORY, "it is gated", anonymous=True, first="accept its terms").message == (
        "hf://acme/tiny: it is gated, and no credentials were shown; accept its terms, then let spec.model.credentials name a Secret with a token"
    )
    assert refusals.access_denied(BUCKET, "the store refuses", anonymous=True).message.endswith(
        "let spec.model.credentials name a Secret with an account's keys"
    )


def test_with_credentials_the_message_names_their_secret_or_where_they_are_from() -> None:
    environment = {refusals.ENVIRONMENT_CREDENTIALS: "secret hf-token key token"}
    named = refusals.access_denied(REPOSITORY, "it is gated", anonymous=False, environment=environment)
    assert "the token of secret hf-token key token (spec.model.credentials) is refused" in named.message
    assert "the account of this pod is refused" in refusals.access_denied(BUCKET, "it refuses", anonymous=False, environment={}).message


def test_a_limit_says_when_and_what_helps() -> None:
    assert "again in 30 s; with credentials (spec.model.credentials) the limits are higher" in refusals.rate_limited("x", 30, anonymous=True).message
    assert refusals.rate_limited("x", None, anonymous=False).message == "x limits the rate of requests; wait, or fetch fewer models at once"
