"""What is asked of vLLM over HTTP, and what its answers mean."""

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from llmfleet_runtime import metrics
from llmfleet_runtime.http_client import Answer, NoAnswer, ask

HEALTH_SECONDS: Final = 10.0
"""Longest wait for /health: 9.4 s were measured on a busy machine."""

FIRST_ANSWER_SECONDS: Final = 300.0
"""Longest wait for the one real request: on a GPU the first one may compile kernels."""

ADAPTER_SECONDS: Final = 300.0
"""Longest wait for an adapter to be loaded: vLLM does it between two steps, from a volume that may be slow."""

ADMIN_HEADER: Final = "X-LLMFleet-Admin"
"""Carries the launcher's token of this start; the middleware lets nobody else change what is loaded."""

REAL_REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/v1/completions", {"prompt": "Hello", "max_tokens": 1, "temperature": 0}),
    ("/v1/embeddings", {"input": "Hello"}),
    ("/pooling", {"input": "Hello"}),
    ("/classify", {"input": "Hello"}),
)
"""A request of each kind of model, tried in this order; vLLM has the routes of the model's own tasks only."""

NOT_THIS_KIND: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""Answers that say that the model is not of the kind asked for; any other refusal is one of the engine."""

_HIDDEN_PATH: Final = "<path>"
"""What vLLM shows of a path in its refusals (0.32)."""

_WRAPPED: Final = re.compile(
    r"(?:Call to \w+ method failed: )?(?:Worker failed with error ')?(.*?)(?:', please check the stack trace above for the root cause)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Queue:
    """Requests of the engine, summed over its data-parallel ranks; None where it does not say (--disable-log-stats)."""

    running: float | None = None
    waiting: float | None = None
    steps: float | None = None
    """Engine steps made since the start."""

    @property
    def in_flight(self) -> float | None:
        """Requests running and waiting."""
        return None if self.running is None or self.waiting is None else self.running + self.waiting


@dataclass(frozen=True, slots=True)
class Use:
    """What is in flight, as far as it concerns adapters."""

    in_flight: float
    """Requests from their first byte on, where the middleware counts them; running and waiting ones else."""
    waiting: float
    adapters: frozenset[str]
    """Names of which a request has had its first token and not its last: before that vLLM does not tell."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What vLLM says of itself once it is up; None is what it does not say."""

    version: str | None = None
    model_names: list[str] = field(default_factory=list)
    max_model_length: int | None = None
    """Longest request with its answer, in tokens."""
    kv_cache_tokens: int | None = None
    """vLLM's own figure: not blocks x block size where layers differ."""
    kv_cache_blocks: int | None = None
    kv_cache_block_size: int | None = None
    """Tokens per block."""


class EngineApi:
    """vLLM's server on this pod."""

    def __init__(self, port: int, api_key: str | None, admin_token: str | None = None) -> None:
        self._port = port
        self._api_key = api_key
        self._admin_token = admin_token

    async def health(self) -> int:
        """HTTP status of /health; NoAnswer where there is none."""
        return (await self._ask("/health", timeout_seconds=HEALTH_SECONDS)).status

    async def queue(self) -> Queue:
        """Requests in flight and engine steps; NoAnswer where the engine does not answer."""
        answer = await self._ask(metrics.path(metrics.RUNNING, metrics.WAITING, metrics.STEPS))
        if answer.status != HTTPStatus.OK:
            return Queue()
        samples = list(metrics.parse(answer.body.decode(errors="replace")))
        return Queue(*(metrics.total(samples, name) for name in (metrics.RUNNING, metrics.WAITING, metrics.STEPS)))

    async def first_answer(self, *, within_seconds: float = FIRST_ANSWER_SECONDS) -> str | None:
        """Have one real request answered: None when it was, or the model takes none of ours (transcription); else what the engine said instead."""
        models = await self._models()
        if not models:
            return "no model is listed in /v1/models"
        for path, request in REAL_REQUESTS:
            answer = await self._ask(path, {"model": models[0].get("id"), **request}, timeout_seconds=within_seconds)
            if answer.status == HTTPStatus.OK:
                return None
            if answer.status not in NOT_THIS_KIND:
                return f"{path} answers {answer.status}: {_excerpt(answer)}"
        return None

    async def facts(self) -> Facts:
        """Version, models and KV cache; NoAnswer where one of them cannot be read."""
        version = await self._ask("/version")
        models = await self._models()
        page = await self._ask(metrics.path(metrics.CACHE))
        caches = [sample.labels for sample in metrics.parse(page.body.decode(errors="replace")) if sample.name == metrics.CACHE]
        lengths = [length for model in models if isinstance(length := model.get("max_model_len"), int)]
        return Facts(
            version=_text(version.json().get("version")) if version.status == HTTPStatus.OK else None,
            model_names=[name for model in models if isinstance(name := model.get("id"), str)],
            max_model_length=lengths[0] if lengths else None,
            kv_cache_tokens=_sum(caches, "kv_cache_size_tokens"),
            kv_cache_blocks=_sum(caches, "num_gpu_blocks"),
            kv_cache_block_size=_count(caches[0].get("block_size")) if caches else None,
        )

    async def adapters(self) -> dict[str, str]:
        """Path of every adapter that is loaded, by name; NoAnswer where vLLM does not tell."""
        models = await self._models()
        # Only an adapter has a parent: the model that it was loaded into.
        return {name: path for model in models if model.get("parent") and (name := _text(model.get("id"))) and (path := _text(model.get("root")))}

    async def use(self) -> Use | None:
        """What is in flight; None where vLLM does not say (--disable-log-stats)."""
        answer = await self._ask(metrics.path(metrics.RUNNING, metrics.WAITING, metrics.IN_FLIGHT, metrics.ADAPTERS))
        samples = list(metrics.parse(answer.body.decode(errors="replace"))) if answer.status == HTTPStatus.OK else []
        running, waiting = metrics.total(samples, metrics.RUNNING), metrics.total(samples, metrics.WAITING)
        if running is None or waiting is None:
            return None
        latest = max((sample for sample in samples if sample.name == metrics.ADAPTERS), key=lambda sample: sample.value, default=None)
        named = () if latest is None else (latest.labels.get(label, "") for label in ("running_lora_adapters", "waiting_lora_adapters"))
        return Use(
            in_flight=max(running + waiting, metrics.total(samples, metrics.IN_FLIGHT) or 0),
            waiting=waiting,
            adapters=frozenset(name for names in named for name in names.split(",") if name),
        )

    async def load_adapter(self, name: str, path: str) -> str | None:
        """Load an adapter; what vLLM says instead, or None when it is loaded. NoAnswer where it says nothing: it may be loaded, or not."""
        refusal = await self._administer("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        return None if refusal is None else refusal.replace(_HIDDEN_PATH, path)

    async def unload_adapter(self, name: str) -> str | None:
        """Take an adapter's name away, its requests go on; what vLLM says instead, or None when it is done."""
        return await self._administer("/v1/unload_lora_adapter", {"lora_name": name})

    async def _administer(self, path: str, document: dict[str, Any]) -> str | None:
        headers = {} if self._admin_token is None else {ADMIN_HEADER: self._admin_token}
        answer = await ask(self._port, path, document=document, bearer=self._api_key, headers=headers, timeout_seconds=ADAPTER_SECONDS)
        return None if answer.status == HTTPStatus.OK else _refusal(answer)

    async def _models(self) -> list[dict[str, Any]]:
        answer = await self._ask("/v1/models")
        if answer.status != HTTPStatus.OK:
            raise NoAnswer(f"/v1/models answers {answer.status}: {_excerpt(answer)}")
        document = answer.json()
        models = document.get("data") if isinstance(document, dict) else None
        return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []

    async def _ask(self, path: str, document: dict[str, Any] | None = None, *, timeout_seconds: float = 10.0) -> Answer:
        return await ask(self._port, path, document=document, bearer=self._api_key, timeout_seconds=timeout_seconds)


def _excerpt(answer: Answer) -> str:
    return answer.body[:300].decode(errors="replace").strip()


def _refusal(answer: Answer) -> str:
    """What vLLM refuses, in its words without those that only say through how many hands they went."""
    try:
        message = str(json.loads(answer.body)["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return f"status {answer.status}: {_excerpt(answer)}"
    wrapped = _WRAPPED.fullmatch(message)
    return wrapped[1] if wrapped else message


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _sum(caches: list[Any], label: str) -> int | None:
    counts = [count for cache in caches if (count := _count(cache.get(label))) is not None]
    return sum(counts) if counts else None


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
