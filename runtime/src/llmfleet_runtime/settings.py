"""What one launch is told, by its options and by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

ENVIRONMENT_TERMINATION_LOG: Final = "LLMFLEET_TERMINATION_LOG"
"""Path of the termination message, where it is not Kubernetes' default."""

ENVIRONMENT_SHARED_MEMORY: Final = "LLMFLEET_SHARED_MEMORY"
"""Directory in which a dead engine's shared memory is looked for; empty: nowhere."""

ENVIRONMENT_API_KEY: Final = "VLLM_API_KEY"
"""vLLM's own variable: the key that it asks for, and that we therefore show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One launch."""

    command: tuple[str, ...]
    """Program and arguments of the engine; no shell reads them."""
    port: int = 8001
    """Port of /readyz, /livez, /report and /metrics."""
    engine_port: int = 8000
    """Port on which vLLM listens (its --port)."""
    drain_timeout_seconds: float = 300.0
    """Longest wait for requests in flight after SIGTERM."""
    minimum_drain_seconds: float = 3.0
    """Shortest: clients learn of the pod's end later than the pod does."""
    stall_timeout_seconds: float = 300.0
    """Requests run but no engine step is made for so long: not alive. vLLM's own limit of a step is 300 s (VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS)."""
    watch_interval_seconds: float = 5.0
    """How often a serving engine is looked at."""
    start_timeout_seconds: float = 3600.0
    """Longest time from the start of the engine's process to its first answer."""
    max_request_bytes: int = 64 * 1024**2
    """Longest body of a request."""
    accelerators: int | None = None
    """NVIDIA devices that the pod has asked for; None: none of NVIDIA's."""
    minimum_capability: tuple[int, int] | None = None
    """Lowest compute capability that the quantization can do with."""
    adapters: Path | None = None
    """The mounted list of adapters."""
    temporary: Path = Path("/tmp")  # noqa: S108 the pod's own volume
    """Outlives the container: what one leaves for the next lies there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The launcher's own, which the engine inherits."""
    termination_log: Path = Path("/dev/termination-log")
    shared_memory: Path | None = Path("/dev/shm")  # noqa: S108 vLLM's segments lie there
    api_key: str | None = None
    """VLLM_API_KEY."""
    secrets: tuple[str, ...] = ()
    """Values of the environment that must not appear in a message."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **options: Any) -> Self:
        """Settings of these options, completed by the environment."""
        shared_memory = environment.get(ENVIRONMENT_SHARED_MEMORY, "/dev/shm")  # noqa: S108
        return cls(
            termination_log=Path(environment.get(ENVIRONMENT_TERMINATION_LOG, "/dev/termination-log")),
            shared_memory=Path(shared_memory) if shared_memory else None,
            api_key=environment.get(ENVIRONMENT_API_KEY) or None,
            temporary=Path(environment.get("TMPDIR") or "/tmp"),  # noqa: S108
            environment=dict(environment),
            secrets=tuple(value for name in (ENVIRONMENT_API_KEY, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if (value := environment.get(name))),
            **options,
        )
