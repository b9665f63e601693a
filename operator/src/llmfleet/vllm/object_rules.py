"""What vLLM's dataclasses want of several fields at once, or of a text that their schema leaves open.

They say so in code (`__post_init__` and pydantic's validators), which no schema holds: here it is a table, a line per rule. Source: vLLM 0.32.0, config/
{attention,compilation,engram,parallel,pooler,profiler,structured_outputs,watermarking}.py; the same in 0.31.0. A rule counts in the versions whose object has
the fields that it is about.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from llmfleet.vllm.lax_values import has_type, number, truth


@dataclass(frozen=True, slots=True)
class Given:
    """The fields that are given, each already known to have its type, with vLLM's defaults behind them."""

    values: Mapping[str, object]

    def has(self, field: str) -> bool:
        """Whether a field is given, and not as null."""
        return self.values.get(field) is not None

    def text(self, field: str, default: str = "") -> str:
        """A text; the default where it is not given."""
        value = self.values.get(field)
        return value if isinstance(value, str) else default

    def is_on(self, field: str, *, default: bool = False) -> bool:
        """A switch; the default where it is not given."""
        value = truth(self.values.get(field))
        return default if value is None else value

    def number(self, field: str, default: float = 0) -> float:
        """A number; the default where it is not given."""
        value = self.values.get(field)
        return number(value) if has_type(value, "number") else default

    def texts(self, field: str) -> list[str]:
        """The texts of a list."""
        values = self.values.get(field)
        return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []

    def numbers(self, field: str) -> list[float]:
        """The numbers of a list."""
        values = self.values.get(field)
        return [number(value) for value in values if has_type(value, "number")] if isinstance(values, list) else []

    def map(self, field: str) -> Mapping[str, object]:
        """A map."""
        value = self.values.get(field)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that vLLM refuses."""

    fields: tuple[str, ...]
    """The fields that it is about; the first is the one that the message names."""
    broken: Callable[[Given], bool]
    rule: str
    remedy: str


KV_CACHE_KINDS: Final = (
    *("full_attention", "mla_attention", "sliding_window", "sliding_window_mla", "mamba", "chunked_local_attention", "sink_full_attention"),
    *("encoder_only_attention", "cross_attention", "unknown"),
)
"""KVCacheSpecKind (v1/kv_cache_interface.py)."""

_PROTON: Final[Mapping[str, str]] = {
    "proton_profiler_dir": "",
    "proton_context": "shadow",
    "proton_data": "tree",
    "proton_backend": "",
    "proton_hook": "",
    "proton_output_format": "",
}
"""Texts that only Proton reads, and their defaults."""

_COMPILING: Final = ("3", "3.0", "VLLM_COMPILE")
"""The mode that compiles piece by piece, as it may be written."""


def _is_url(path: str) -> bool:
    scheme, separator, _ = path.partition("://")
    return bool(separator) and len(scheme) > 1


def _is_custom_op(text: str) -> bool:
    return text in ("all", "none") or (len(text) > 1 and text[0] in "+-")


def _at_odds(given: Given) -> bool:
    """Whether one operation is both on and off."""
    ops = given.texts("custom_ops")
    return bool({op[1:] for op in ops if op.startswith("+")} & {op[1:] for op in ops if op.startswith("-")})


def _not_positive(field: str) -> Rule:
    return Rule((field,), lambda given: any(value <= 0 for value in given.numbers(field)), "holds a number below 1", "remove it")


def _negative_limit(field: str) -> Rule:
    return Rule(
        (field, "cudagraph_mm_encoder"),
        lambda given: given.is_on("cudagraph_mm_encoder") and given.number(field) < 0,
        "must be at least 0 where cudagraph_mm_encoder is on",
        "leave it out, and vLLM finds it out",
    )


def _said_by_pooling_type(field: str) -> Rule:
    return Rule((field, "pooling_type"), lambda given: given.has("pooling_type") and given.has(field), "says again what pooling_type says", "keep one of them")


def _only_with(profiler: str, option: str, is_given: Callable[[Given], bool]) -> Rule:
    return Rule(
        (option, "profiler"),
        lambda given: given.text("profiler") != profiler and is_given(given),
        f"wants profiler {profiler}",
        f"set profiler to {profiler}, or leave it out",
    )


def _other_than(option: str, default: str) -> Callable[[Given], bool]:
    return lambda given: given.text(option, default) != default


def _format_of(data: str, *formats: str) -> Rule:
    return Rule(
        ("proton_output_format", "proton_data"),
        lambda given: given.text("proton_output_format") in formats and given.text("proton_data", "tree") != data,
        f"is a format of proton_data {data}",
        f"set proton_data to {data}, or choose another format",
    )


_ATTENTION: Final = (
    Rule(
        ("backend_per_kind",),
        lambda given: not given.map("backend_per_kind").keys() <= {*KV_CACHE_KINDS},
        "has a key that is no kind of KV cache",
        f"the kinds are {', '.join(KV_CACHE_KINDS)}",
    ),
    Rule(
        ("backend_per_kind",),
        lambda given: any(not isinstance(value, str) or value.lower() == "auto" for value in given.map("backend_per_kind").values()),
        "takes the name of a backend for each kind",
        "leave out a kind whose backend vLLM is to choose",
    ),
)

_COMPILATION: Final = (
    Rule(
        ("custom_ops",),
        lambda given: not all(map(_is_custom_op, given.texts("custom_ops"))),
        "holds something else than all, none, +name and -name",
        "write + or - before the name of an operation",
    ),
    Rule(
        ("custom_ops",),
        lambda given: len([op for op in given.texts("custom_ops") if op in ("all", "none")]) > 1,
        "holds all or none more than once",
        "keep one of them",
    ),
    Rule(("custom_ops",), _at_odds, "turns the same operation on and off", "keep one of the two"),
    Rule(
        ("backend", "mode"),
        lambda given: str(given.values.get("mode")).upper() in _COMPILING and given.text("backend") not in ("", "eager", "inductor"),
        "is no backend of the mode VLLM_COMPILE",
        "choose one of eager, inductor",
    ),
    Rule(
        ("inductor_passes",),
        lambda given: not all("." in str(value).strip(".") for value in given.map("inductor_passes").values()),
        "takes the module and name of a function for each pass",
        "write for instance my_package.my_pass; the package must be in the image",
    ),
    _not_positive("decoder_replay_cudagraph_capture_sizes"),
    _not_positive("encoder_cudagraph_token_budgets"),
    _negative_limit("encoder_cudagraph_max_vision_items_per_batch"),
    _negative_limit("encoder_cudagraph_max_frames_per_batch"),
)

_ENGRAM: Final = (
    Rule(
        ("dp_shared_memory", "cpu_offload"),
        lambda given: given.is_on("dp_shared_memory") and not given.is_on("cpu_offload", default=True),
        "wants cpu_offload beside it",
        "leave out cpu_offload, which is on, or dp_shared_memory",
    ),
    Rule(
        ("use_thp", "cpu_offload", "dp_shared_memory"),
        lambda given: given.is_on("use_thp") and (not given.is_on("cpu_offload", default=True) or given.is_on("dp_shared_memory")),
        "wants cpu_offload and no dp_shared_memory",
        "leave out one of them",
    ),
)

_EXPERTS: Final = (
    Rule(
        ("communicator", "use_async"),
        lambda given: given.is_on("use_async", default=True) and given.text("communicator") in ("torch_nccl", "pynccl"),
        "does not work while use_async is on",
        "choose torch_gloo or nixl, leave it out, or set use_async to false",
    ),
)

_POOLER: Final = (
    Rule(("logit_sigma",), lambda given: given.number("logit_sigma", 1) == 0, "divides the logits and may not be 0", "leave it out"),
    _said_by_pooling_type("seq_pooling_type"),
    _said_by_pooling_type("tok_pooling_type"),
)

_PROFILER: Final = (
    _only_with("torch", "torch_profiler_activities", lambda given: given.has("torch_profiler_activities")),
    _only_with("torch", "torch_profiler_dir", _other_than("torch_profiler_dir", "")),
    _only_with("torch", "capture_torch_profiler", lambda given: given.is_on("capture_torch_profiler")),
    *(_only_with("proton", option, _other_than(option, default)) for option, default in _PROTON.items()),
    _only_with("proton", "proton_mode", lambda given: given.has("proton_mode")),
    _only_with("proton", "proton_graph_attribution", lambda given: given.is_on("proton_graph_attribution")),
    Rule(
        ("torch_profiler_activities",),
        lambda given: len({*given.texts("torch_profiler_activities")}) < len(given.texts("torch_profiler_activities")),
        "holds an activity twice",
        "keep one of them",
    ),
    Rule(
        ("profiler", "torch_profiler_dir"),
        lambda given: given.text("profiler") == "torch" and not given.text("torch_profiler_dir"),
        "wants torch_profiler_dir beside it",
        "add a path in the pod or a URL of object storage",
    ),
    Rule(
        ("profiler", "proton_profiler_dir"),
        lambda given: given.text("profiler") == "proton" and not given.text("proton_profiler_dir"),
        "wants proton_profiler_dir beside it",
        "add a path in the pod",
    ),
    Rule(("proton_profiler_dir",), lambda given: _is_url(given.text("proton_profiler_dir")), "takes a path, not a URL", "write a path in the pod"),
    Rule(
        ("proton_graph_attribution", "proton_data"),
        lambda given: given.is_on("proton_graph_attribution") and given.text("proton_data", "tree") != "tree",
        "wants proton_data tree",
        "set proton_data to tree, or leave it out",
    ),
    Rule(
        ("proton_graph_attribution", "proton_mode"),
        lambda given: given.is_on("proton_graph_attribution") and given.text("proton_mode").split(":", 1)[0].lower() == "periodic_flushing",
        "does not work with the mode periodic_flushing",
        "leave out one of them",
    ),
    _format_of("trace", "chrome_trace"),
    _format_of("tree", "hatchet", "hatchet_msgpack"),
)

_STRUCTURED_OUTPUTS: Final = (
    Rule(
        ("disable_any_whitespace", "backend"),
        lambda given: given.is_on("disable_any_whitespace") and given.text("backend") not in ("xgrammar", "guidance"),
        "wants the backend xgrammar or guidance",
        "set backend to one of them",
    ),
    Rule(
        ("disable_additional_properties", "backend"),
        lambda given: given.is_on("disable_additional_properties") and given.text("backend") != "guidance",
        "wants the backend guidance",
        "set backend to guidance",
    ),
)

_WATERMARK: Final = (Rule(("key",), lambda given: given.number("key") > 2**64 - 1, "has more than 64 bits", "choose a key below 2^64"),)

OBJECT_RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "AttentionConfig": _ATTENTION,
        "CompilationConfig": _COMPILATION,
        "EngramConfig": _ENGRAM,
        "EPLBConfig": _EXPERTS,
        "PoolerConfig": _POOLER,
        "ProfilerConfig": _PROFILER,
        "StructuredOutputsConfig": _STRUCTURED_OUTPUTS,
        "WatermarkConfig": _WATERMARK,
    }
)
"""The rules of each object, by its name in the catalogue."""


def broken_rules(values: Mapping[str, object], name: str, known: Mapping[str, object]) -> Iterator[Rule]:
    """The rules that the fields of an object break; `known` are the fields that the version's object has."""
    given = Given(values)
    return (rule for rule in OBJECT_RULES.get(name, ()) if all(field in known for field in rule.fields) and rule.broken(given))
