"""The table of failures: the closed list of reasons, and what vLLM writes when each is the case. A new one is one row; tests match each with its example."""

from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.failure_patterns.reason import REMEDIES, Reason

__all__ = ["GENERIC", "PATTERNS", "REMEDIES", "Pattern", "Reason"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A row of the table. `pattern` is searched in a line without the logger's prefix; its group `message`, where it has one, is what is told."""

    reason: Reason
    pattern: str
    example: str
    """A line of vLLM, as its log had it."""
    remedy: str = ""
    """What to do, with the names of our fields; `{group}` is a group of the match. Empty: what the reason says."""


PATTERNS: Final = (
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>To serve at least one request with the model.s max seq len .*)",
        "(EngineCore pid=13) ERROR 11-21 09:23:01 [core.py:1136] ValueError: To serve at least one request with the model's max seq len (1024), "
        "0.25 GiB KV cache is needed, which is larger than the available KV cache memory (0.09 GiB).",
    ),
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>No available memory for the cache blocks.*)",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
    ),
    Pattern(
        Reason.SHARED_MEMORY_TOO_SMALL,
        r"(?P<message>Insufficient space in /dev/shm.*)",
        "RuntimeError: Insufficient space in /dev/shm for shared memory: 160 MiB required, 64 MiB free",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>(?:CUDA|HIP|XPU) out of memory.*)",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 23.55 GiB of which 200.00 MiB is free.",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>Free memory on device .* is less than desired GPU memory utilization.*)",
        "ValueError: Free memory on device cuda:0 (3.04/23.55 GiB) on startup is less than desired GPU memory utilization (0.92, 21.67 GiB).",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>Available memory on node \d+ \(.*)",
        "ValueError: Available memory on node 0 (18.5/23.54 GiB) on startup is less than desired CPU memory utilization (0.92, 21.66 GiB).",
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Unknown quantization method: .*)",
        "  Value error, Unknown quantization method: nonsense. Must be one of ['awq', 'fp8']. [type=value_error, input_value=ArgsKwargs((), {})]",
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Quantization method specified in the model config .* does not match .*)",
        "  Value error, Quantization method specified in the model config (gptq) does not match the quantization method specified in the "
        "`quantization` argument (awq). [type=value_error, input_value=ArgsKwargs((), {})]",
    ),
    Pattern(
        Reason.UNKNOWN_QUANTIZATION,
        r"(?P<message>Cannot find the config file for .*)",
        "  Value error, Cannot find the config file for awq [type=value_error, input_value=ArgsKwargs((), {'model_co...}), input_type=ArgsKwargs]",
    ),
    Pattern(
        Reason.UNSUPPORTED_MODEL,
        r"(?P<message>Model architectures \[.*\] .*not supported.*)",
        "  Value error, Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys(['LlamaForCausalLM'])",
    ),
    Pattern(
        Reason.MODEL_ACCESS_DENIED,
        r"(?P<message>(?:You are trying to access a gated repo|Cannot access gated repo|Access to model .* is restricted|401 Client Error|403 Client Error).*)",
        "OSError: You are trying to access a gated repo.",
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>Repo id must be in the form .*)",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/nowhere/x'.",
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?:LocalEntryNotFoundError|RepositoryNotFoundError|RevisionNotFoundError|EntryNotFoundError): (?P<message>.*)",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk.",
    ),
    Pattern(
        Reason.MODEL_NOT_FOUND,
        r"(?P<message>\S+ (?:is not a local folder and is not a valid model identifier|does not appear to have a file named) .*)",
        "OSError: org/missing is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
    ),
    Pattern(
        Reason.PORT_IN_USE,
        r"(?P<message>\[Errno 98\].*)",
        "OSError: [Errno 98] Address already in use",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^(?:\S+ ){1,3}error: (?P<message>.+)",
        "vllm: error: unrecognized arguments: --wrong-flag",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"^Value error, (?P<message>.+)",
        "  Value error, User-specified max_model_len (4096) is greater than the derived max_model_len (max_position_embeddings=1024). "
        "[type=value_error, input_value=ArgsKwargs((), {})]",
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Unknown attention backend.*)",
        "ValueError: Unknown attention backend: 'NONSENSE'. Valid options are: FLASH_ATTN, TRITON_ATTN",
    ),
    Pattern(
        Reason.ENGINE_DIED,
        r"(?P<message>.*(?:died unexpectedly|EngineDeadError|EngineCore encountered an issue).*)",
        "ERROR 11-21 09:30:12 [core_client.py:710] Engine core proc EngineCore died unexpectedly, shutting down client.",
    ),
)
"""In order: the first row that matches a line gives its reason."""

GENERIC: Final = (
    r"Engine core initialization failed|EngineCore failed to start|EngineCore encountered (?:a fatal error|an issue)|EngineDeadError|See root cause above|"
    r"WorkerProc (?:hit an exception|initialization failed|failed to start)|AsyncLLM output_handler failed|died unexpectedly|validation error for |"
    r"Dumping (?:input data|scheduler output|scheduler stats) |RuntimeError: cancelled"
)
"""Lines that say that something went wrong, not what: told only where there is nothing better."""
