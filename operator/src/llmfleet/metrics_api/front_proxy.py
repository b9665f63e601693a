"""Who asks: the aggregator proves itself with a client certificate, and only then is believed whom it asks for.

Kubernetes publishes how in the ConfigMap kube-system/extension-apiserver-authentication: the CA of its front-proxy certificate, the names that it may have,
and the headers that carry the user (kubernetes.io/docs: "Configure the Aggregation Layer"). Without the certificate, whoever reaches the port could write any
user into the headers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from multidict import CIMultiDictProxy

NAMESPACE: Final = "kube-system"
CONFIG_MAP_NAME: Final = "extension-apiserver-authentication"
"""The ConfigMap; the Role extension-apiserver-authentication-reader in its namespace lets it be read."""


class FrontProxyError(ValueError):
    """The ConfigMap does not say how the aggregator authenticates."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """How the aggregator authenticates."""

    client_ca_pem: str
    """The CA of its client certificate; never the CA of users' certificates."""
    allowed_names: frozenset[str]
    """Common names that the certificate may have; empty: any name."""
    username_headers: tuple[str, ...]
    group_headers: tuple[str, ...]
    extra_header_prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Whom the aggregator asks for."""

    name: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


def parse(data: Mapping[str, str]) -> FrontProxy:
    """The front proxy of the ConfigMap's data."""
    certificates = data.get("requestheader-client-ca-file", "")
    if "BEGIN CERTIFICATE" not in certificates:
        raise FrontProxyError(f"{NAMESPACE}/{CONFIG_MAP_NAME} has no requestheader-client-ca-file: the API server runs without an aggregation layer")
    return FrontProxy(
        client_ca_pem=certificates,
        allowed_names=frozenset(_strings(data, "requestheader-allowed-names")),
        username_headers=_strings(data, "requestheader-username-headers"),
        group_headers=_strings(data, "requestheader-group-headers"),
        extra_header_prefixes=_strings(data, "requestheader-extra-headers-prefix"),
    )


def _strings(data: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A JSON list of strings; anything else is an error and not an empty list, which would allow every name."""
    try:
        value = json.loads(data.get(name) or "[]")
    except ValueError as error:
        raise FrontProxyError(f"{name} in {NAMESPACE}/{CONFIG_MAP_NAME} is not JSON") from error
    if not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        raise FrontProxyError(f"{name} in {NAMESPACE}/{CONFIG_MAP_NAME} is not a list of strings")
    return tuple(value)


def is_front_proxy(front_proxy: FrontProxy, peer_certificate: Mapping[str, Any] | None) -> bool:
    """Whether the peer is the aggregator. TLS has verified the certificate against the CA, if there is one (`SSLSocket.getpeercert()`)."""
    if not peer_certificate:
        return False
    names = {value for relative_name in peer_certificate.get("subject", ()) for kind, value in relative_name if kind == "commonName"}
    return not front_proxy.allowed_names or bool(names & front_proxy.allowed_names)


def user_of(front_proxy: FrontProxy, headers: CIMultiDictProxy[str]) -> User | None:
    """The user in the headers of a request by the aggregator; None where none is named. As k8s.io/apiserver (headerrequest): the first name, all groups."""
    name = next((value for header in front_proxy.username_headers if (value := headers.get(header, ""))), "")
    if not name:
        return None
    groups = tuple(value for header in front_proxy.group_headers for value in headers.getall(header, []))
    extra: dict[str, list[str]] = {}
    for prefix in front_proxy.extra_header_prefixes:
        for header, value in headers.items():
            if header.lower().startswith(prefix.lower()):
                extra.setdefault(unquote(header[len(prefix) :].lower()), []).append(value)
    return User(name, groups, tuple(sorted((key, tuple(values)) for key, values in extra.items())))
