"""Who may ask vLLM for what: a pure rule over the method, the path and the headers of a request.

vLLM asks for its API key below /v1, /v2, /inference and /cohere alone (vllm/entrypoints/serve/middleware/authenticate.py, 0.32); /invocations, /tokenize,
/pooling, /score, /sleep and others answer whoever comes. Here a path is guarded unless it is on a short list, and it is on the list only as the router itself
compares it, letter by letter. Paths that change the engine are found in every spelling that a router or a user's own middleware might understand.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final, Self
from urllib.parse import unquote

OPEN_PATHS: Final = frozenset(
    {
        *("/health", "/ping", "/version", "/load", "/metrics", "/metrics/"),
        *("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/static/swagger-ui-bundle.js", "/static/swagger-ui.css"),
    }
)
"""What GET and HEAD read without a key, as in vLLM: probes, metrics and the API's description."""

ADMINISTRATION: Final = (
    # Adapters: spec.adapters.items owns them. /adapters is SageMaker's spelling (model_hosting_container_standards/sagemaker/lora/routes.py).
    *("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters"),
    # vllm/entrypoints/serve: profiling, elastic expert parallelism, fault tolerance.
    *("/start_profile", "/stop_profile", "/scale_elastic_ep", "/is_scaling_elastic_ep", "/fault_tolerance"),
    # vllm/entrypoints/serve/dev, served with VLLM_SERVER_DEV_MODE=1.
    *("/sleep", "/wake_up", "/is_sleeping", "/release_kv_cache_memory", "/collective_rpc", "/server_info"),
    *("/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache"),
    # vllm/entrypoints/rl, the same.
    *("/pause", "/resume", "/is_paused", "/abort_requests", "/init_weight_transfer_engine", "/shutdown_weight_transfer_engine", "/start_weight_update"),
    *("/start_draft_weight_update", "/update_weights", "/finish_weight_update", "/update_weight_version", "/weight_info", "/weight_checker", "/get_world_size"),
)
"""Paths of vLLM 0.32 that change the engine or show its inside, each with all below it. They are the launcher's alone."""

ADMIN_HEADER: Final = b"x-llmfleet-admin"
"""Carries the launcher's token. It is made anew at each start and is never written anywhere."""

_SLASHES: Final = re.compile(r"[/\\]+")
_DECODINGS: Final = 3
"""How often a path is percent-decoded again. A bound, for each decoding of `%252525...` costs the length of the path."""
_KNOWN_PATHS: Final = 256
_KNOWN_CHARACTERS: Final = 256
"""Answers are remembered for short paths: the rule costs some 20 us, and a server is asked for few paths."""


class Access(Enum):
    """What a request needs."""

    OPEN = auto()
    """Nothing; it is not counted either."""
    KEY = auto()
    """One of the API keys, where there are any."""
    ADMIN = auto()
    """The launcher's token."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one engine. It travels to vLLM's processes with digests in the place of secrets."""

    key_digests: tuple[bytes, ...]
    """SHA-256 of each API key; without any, whatever infers is open, as in vLLM."""
    admin_digest: bytes
    """SHA-256 of the launcher's token."""
    max_request_bytes: int
    """Longest body of a request."""

    @classmethod
    def of(cls, keys: Iterable[str], admin_token: str, max_request_bytes: int) -> Self:
        """Rules with these secrets."""
        return cls(tuple(_digest(os.fsencode(key)) for key in keys), _digest(os.fsencode(admin_token)), max_request_bytes)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` wrote."""
        digests = tuple(bytes.fromhex(digest) for digest in document["keyDigests"])
        return cls(digests, bytes.fromhex(document["adminDigest"]), document["maxRequestBytes"])

    def document(self) -> dict[str, Any]:
        """Everything that a process needs to apply the rules, for JSON; no secret can be read from it."""
        return {"keyDigests": [digest.hex() for digest in self.key_digests], "adminDigest": self.admin_digest.hex(), "maxRequestBytes": self.max_request_bytes}

    def has_key(self, authorization: bytes | None) -> bool:
        """Whether an Authorization header shows one of the keys, read as vLLM reads it; always true where there are no keys."""
        if not self.key_digests:
            return True
        scheme, _, shown = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return False
        digest = _digest(shown)
        # Every key is compared: the time tells nothing of which one is near.
        return sum(hmac.compare_digest(digest, known) for known in self.key_digests) > 0

    def is_admin(self, token: bytes | None) -> bool:
        """Whether the header `ADMIN_HEADER` shows the launcher's token."""
        return token is not None and hmac.compare_digest(_digest(token), self.admin_digest)


def access(method: str, path: str, root_path: str) -> Access:
    """Return what a request needs.

    Args:
        method: as it was sent; methods are case-sensitive (RFC 9110, 9.1), so `get` is no GET.
        path: percent-decoded once, as the router gets it.
        root_path: vLLM's --root-path, which the router takes off a path that begins with it.

    """
    return (_known_access if len(path) <= _KNOWN_CHARACTERS else _access)(method, path, root_path)


def _access(method: str, path: str, root_path: str) -> Access:
    routed = path[len(root_path) :] if root_path and path.startswith(root_path + "/") else path
    if method in ("GET", "HEAD") and routed in OPEN_PATHS:
        return Access.OPEN
    if method == "OPTIONS":  # A browser asks without a key whether it may send one; no path of vLLM does anything else on it.
        return Access.OPEN
    return Access.ADMIN if _is_administration(path, root_path) else Access.KEY


_known_access = lru_cache(_KNOWN_PATHS)(_access)


def _is_administration(path: str, root_path: str) -> bool:
    root = _plain(root_path).rstrip("/")
    spellings = [spelling for one in _spellings(path) for spelling in (one, one.removeprefix(root))]
    return any(spelling.startswith(prefix + "/") for spelling in spellings for prefix in ADMINISTRATION)


def _spellings(path: str) -> list[str]:
    """The path as it came and as a lenient reader might take it: escapes decoded again, slashes made one, dots followed; each with one slash at its end."""
    spellings = [_plain(path)]
    for _ in range(_DECODINGS):
        path = unquote(path)
        spellings.append(_plain(path))
    return [*spellings, *(_without_dots(one) for one in spellings)]


def _plain(path: str) -> str:
    """Lower case, single slashes, one slash at each end, no parameters (`;a=b`) of segments."""
    segments = (segment.partition(";")[0].strip() for segment in _SLASHES.split(path.lower()))
    return "/" + "".join(f"{segment}/" for segment in segments if segment)


def _without_dots(path: str) -> str:
    """A plain path with its `.` and `..` followed."""
    kept: list[str] = []
    for segment in path.strip("/").split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    return "/" + "".join(f"{segment}/" for segment in kept)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
