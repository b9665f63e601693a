"""What sources of every kind refuse, in words: the same case is told the same way, whatever the library calls it."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.source import Bucket, Repository

ENVIRONMENT_CREDENTIALS: Final = "LLMFLEET_CREDENTIALS"
"""Where the credentials of this pod come from, in the operator's words: `secret NAME key KEY`."""

_NETWORK_TROUBLE: Final = (
    (
        r"(?i)name or service not known|name resolution|nodename nor servname|no address associated|name does not resolve",
        "its name is not known here",
        "check the name, the cluster's DNS and that a NetworkPolicy lets this pod ask it",
    ),
    (
        r"(?i)certificate|\bssl\b|\btls\b|sslerror",
        "its TLS certificate is not trusted here, or it does not speak TLS",
        "where a proxy or a mirror has a certificate of its own, mount its authority and name it in SSL_CERT_FILE, REQUESTS_CA_BUNDLE and AWS_CA_BUNDLE",
    ),
    (r"(?i)proxy", "the proxy does not let us through", "check HTTPS_PROXY and NO_PROXY, and what the proxy allows"),
    (r"(?i)refused", "nothing listens there", "check the endpoint's host and port"),
    (
        r"(?i)timed out|timeout|unreachable|no route",
        "it does not answer",
        "check that a NetworkPolicy or firewall lets this pod out; behind a proxy set HTTPS_PROXY, for a mirror its endpoint variable",
    ),
)
"""What the libraries' texts contain, what it means, and the remedy. The first that matches counts."""

_T = TypeVar("_T")

_ELSE: Final = ("the connection broke", "it is tried again; if it stays so, look at the network between this pod and the source")


def unreachable(place: str, error: BaseException) -> ModelFailure:
    """The network's failure on the way to `place`, whichever library tells it."""
    texts = list(_texts(error))
    text = " ".join(texts)
    meaning, remedy = next(((meaning, remedy) for pattern, meaning, remedy in _NETWORK_TROUBLE if re.search(pattern, text)), _ELSE)
    said = min((text for text in texts if text), key=len, default=type(error).__name__)
    return ModelFailure(Reason.SOURCE_UNREACHABLE, f"{place} cannot be reached: {meaning} ({said}); {remedy}")


def server_trouble(place: str, status: int, detail: str = "") -> ModelFailure:
    """An answer that says nothing about the model: 5xx, or one that nobody expects."""
    said = f" ({detail})" if detail else ""
    return ModelFailure(Reason.SOURCE_UNREACHABLE, f"{place} answers {status}{said}; it is tried again, and is the source's to mend")


def rate_limited(place: str, retry_after_seconds: float | None, *, anonymous: bool) -> ModelFailure:
    """429, or a store's own word for it."""
    when = f", again in {retry_after_seconds:.0f} s" if retry_after_seconds is not None else ""
    remedy = "with credentials (spec.model.credentials) the limits are higher" if anonymous else "wait, or fetch fewer models at once"
    return ModelFailure(Reason.RATE_LIMITED, f"{place} limits the rate of requests{when}; {remedy}", retry_after_seconds=retry_after_seconds)


def access_denied(source: Repository | Bucket, why: str, *, anonymous: bool, first: str = "", environment: Mapping[str, str] = os.environ) -> ModelFailure:
    """Gated, private or forbidden. `first` is what to do before anything else, such as to accept a licence."""
    before = f"{first}, then " if first else ""
    if anonymous:
        needed = "a token" if isinstance(source, Repository) else "an account's keys"
        message = f"{source}: {why}, and no credentials were shown; {before}let spec.model.credentials name a Secret with {needed}"
    else:
        shown = environment.get(ENVIRONMENT_CREDENTIALS)
        credential = "token" if isinstance(source, Repository) else "account"
        where = f"the {credential} of {shown} (spec.model.credentials)" if shown else f"the {credential} of this pod"
        message = f"{source}: {why}, and {where} is refused; {before}make sure that it is valid and may read this, or put another into the Secret"
    return ModelFailure(Reason.MODEL_ACCESS_DENIED, message)


def nothing_there(source: Bucket, bucket_exists: bool) -> ModelFailure:
    """No such bucket, or nothing below the path."""
    what = f"there is no object below {source.prefix!r} in bucket {source.bucket}" if bucket_exists else f"there is no bucket {source.bucket}"
    return ModelFailure(Reason.MODEL_NOT_FOUND, f"{source}: {what}; correct spec.model.source, or upload the model's directory there")


def changed(source: Repository | Bucket, name: str) -> ModelFailure:
    """A file is not the one that was listed."""
    return ModelFailure(
        Reason.CHECKSUM_MISMATCH,
        f"{source}: {name} was changed while it was being read; start again when nobody writes there, and give each version a path of its own",
    )


@contextlib.contextmanager
def understood(place: str, variable: str, *words: type[Exception]) -> Iterator[None]:
    """What a hub's library makes of an answer that is not the hub's; `words` are the library's own errors, which say something else."""
    try:
        yield
    except words:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFailure(
            Reason.SOURCE_UNREACHABLE,
            f"{place} answers with something that is no list of a repository's files; check {variable}, and whether a proxy wants a login",
        ) from error


def typed(value: object, kind: type[_T]) -> _T:
    """A part of an answer that the library hands over unread; TypeError for what it cannot be."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _texts(error: BaseException, depth: int = 6) -> Iterator[str]:
    """What an error and those that caused it say; libraries wrap each other's."""
    yield str(error)
    if depth:
        wrapped = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        for inner in wrapped:
            if isinstance(inner, BaseException):
                yield from _texts(inner, depth - 1)
