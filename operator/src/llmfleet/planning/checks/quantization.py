"""Number formats of the weights: the method against the device, the dtype and the checkpoint.

Source: vLLM 0.32.0, config/vllm.py (_get_quantization_config), config/model.py (_verify_quantization), model_executor/model_loader/weight_utils.py
(get_quant_config), platforms/*.py (supported_quantization).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from llmfleet.planning.architecture import DTYPES
from llmfleet.planning.checks import extra_args
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import BFLOAT16_CAPABILITY, Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import online_quantization
from llmfleet.vllm.catalogue import ClosedSet
from llmfleet.vllm.checkpoint import Reading, reading
from llmfleet.vllm.json_values import faults
from llmfleet.vllm.quantization import METHOD, ONLINE_CAPABILITY, Method

FIELD: Final = "spec.quantization.method"

PLAIN: Final = frozenset({"BF16", "F16", "F32", "F64"})
"""Number formats of weights that are not quantized, as safetensors name them."""

SELF_CONTAINED: Final = frozenset({"humming", "deepseek_v4_fp8", "gpt_oss_mxfp4"})
"""Methods that start without a word of the checkpoint on how it is quantized; what becomes of one that is not was not tried."""

OWN_CONFIGURATION: Final = ("quantization_config", "quantization_config_file", "quantization_config_dict_json")
"""Keys of configOverrides that say how a checkpoint is quantized."""


@check("quantization.method", "model.source")
def against_the_checkpoint(subject: Subject) -> Iterator[Violation]:
    """A method must read the checkpoint as the checkpoint says that it is quantized: otherwise vLLM says "does not match"."""
    asked, read = subject.spec.quantization.method, _reading(subject)
    if asked is None or read is None or read.taken:
        return
    if not read.refused:
        rule = f"is ignored: the checkpoint is quantized, and vLLM reads it with {read.method} whatever is asked for"
        yield Violation(FIELD, asked, rule, "leave it out", warning=True)
        return
    method = METHOD.get(asked)
    online = method is not None and method.online
    kind = "quantizes what is not quantized yet, and" if online else "does not match:"
    rule = f"{kind} the checkpoint is quantized with {read.method}"
    yield Violation(FIELD, asked, rule, "leave it out" + (", or take an unquantized checkpoint" if online else f", or set it to {read.method}"))


@check("quantization.method", "quantization.config", "model.source")
def without_a_checkpoint(subject: Subject) -> Iterator[Violation]:
    """A method that reads quantized checkpoints fails on others ("Cannot find the config file"); one that quantizes needs an unquantized one."""
    asked = subject.spec.quantization.method
    method = METHOD.get(asked or "")
    if method is None or asked in SELF_CONTAINED or any(key in subject.spec.model.config_overrides for key in OWN_CONFIGURATION):
        return
    if not method.online and _is_plain(subject):
        rule = "reads checkpoints that were quantized with it, and this one is not quantized"
        remedy = "leave it out, take a quantized checkpoint, or quantize while loading: fp8_per_tensor, fp8_per_block, mxfp8, ..."
        yield Violation(FIELD, method.name, rule, remedy)
    elif method.unquantized_as is not None and _is_plain(subject):
        rule = f"is deprecated for a checkpoint that is not quantized: vLLM takes {method.unquantized_as} instead"
        yield Violation(FIELD, method.name, rule, f"set it to {method.unquantized_as}", warning=True)


@check("quantization.method", "model.source")
def experts_only(subject: Subject) -> Iterator[Violation]:
    """Some methods quantize routed experts and nothing else: a dense model stays as it is."""
    method = METHOD.get(subject.spec.quantization.method or "")
    if method is not None and not method.checkpoint and method.linear_bytes is None and subject.is_dense:
        rule = "quantizes the experts of a mixture and nothing else: this model is dense and would stay as it is"
        yield Violation(FIELD, method.name, rule, "choose another method, for instance fp8_per_tensor, or leave it out", warning=True)


@check("quantization.method", "model.source", "accelerator.profile")
def against_the_device(subject: Subject) -> Iterator[Violation]:
    """A method needs a device of a vendor that has its kernels, and on NVIDIA's a compute capability."""
    method, field, value, subject_of = _effective(subject)
    if method is None:
        return
    device = subject.profile_name
    if subject.vendor is not None and subject.vendor.value not in method.vendors:
        yield Violation(field, value, f"{subject_of}does not run on {subject.vendor.value} ({device})", _other_method(subject, method))
        return
    capability = subject.capability
    if capability is None:
        return
    if capability < method.min_capability:
        rule = f"{subject_of}needs compute capability {method.min_capability / 10:.1f}, and {device} has {capability / 10:.1f}"
        yield Violation(field, value, rule, _other_method(subject, method))
    elif method.max_capability is not None and capability > method.max_capability:
        rule = f"{subject_of}runs on compute capability {method.min_capability / 10:.1f} to {method.max_capability / 10:.1f} only"
        yield Violation(field, value, f"{rule}, and {device} has {capability / 10:.1f}", _other_method(subject, method))


@check("quantization.method", "model.source", "model.dtype")
def against_the_dtype(subject: Subject) -> Iterator[Violation]:
    """A method computes in certain dtypes; the rest of the model must have one of them."""
    method, field, value, subject_of = _effective(subject)
    dtype = _dtype(subject)
    if method is None or dtype is None or dtype in method.activations:
        return
    allowed = " or ".join(sorted(method.activations))
    remedy = f"set spec.model.dtype to {sorted(method.activations)[0]}"
    asked = subject.spec.model.dtype
    if asked is not None and asked != "auto":
        yield Violation("spec.model.dtype", asked, f"is no dtype that the quantization method {method.name} computes in: {allowed}", remedy)
    else:
        yield Violation(field, value, f"{subject_of}computes in {allowed}, and the model would be served in {dtype}", remedy)


@check("quantization.method", "engine.extraArgs")
def deprecated_method(subject: Subject) -> Iterator[Violation]:
    """A method on its way out needs the flag that says so."""
    name, known = subject.spec.quantization.method, subject.catalogue
    if name is None or known is None or name not in known.sets[ClosedSet.QUANTIZATION_DEPRECATED]:
        return
    if not extra_args.reading(subject).is_on("--allow-deprecated-quantization"):
        remedy = "choose another method, or add --allow-deprecated-quantization to spec.engine.extraArgs"
        yield Violation(FIELD, name, f"is deprecated in vLLM {subject.version}", remedy)


@check("quantization.config", "quantization.method")
def settings(subject: Subject) -> Iterator[Violation]:
    """The settings of an online method are read by vLLM's parser, and `online` is nothing without them (config/quantization.py)."""
    config, method, known = subject.spec.quantization.config, subject.spec.quantization.method, subject.catalogue
    if known is not None and (name := known.flags["--quantization-config"].object):
        for fault in faults(config, name, known):
            yield Violation(f"spec.quantization.config.{fault.path}".rstrip("."), "", fault.rule, fault.remedy)
    if method == "online" and not config:
        remedy = 'for instance {"linear": {"weight": "fp8_per_tensor_static"}}, or choose a method such as fp8_per_tensor'
        yield Violation("spec.quantization.config", "", "is empty, and the method online says nothing by itself", remedy)
    elif config and method not in online_quantization.SHORTHANDS and not config.keys() & online_quantization.LAYERS:
        rule = "names no format: one of linear, moe and targets must be there"
        yield Violation("spec.quantization.config", "", rule, "add it, or remove the settings")
    elif config and method is None and _is_plain(subject):
        yield Violation("spec.quantization.config", "", "would be ignored without a method: the checkpoint is not quantized", f"set {FIELD} to online")


def _reading(subject: Subject) -> Reading | None:
    """How vLLM reads the checkpoint; None where it is not quantized or nothing is known."""
    if subject.facts is None or subject.facts.quantization is None:
        return None
    model_type = str(subject.facts.config.get("model_type", ""))
    on_cpu = subject.vendor is not None and subject.vendor.value == "cpu"
    return reading(subject.facts.quantization, subject.spec.quantization.method, model_type=model_type, on_cpu=on_cpu)


def _effective(subject: Subject) -> tuple[Method | None, str, str, str]:
    """The method that runs, the field that says it, its value, and what leads over from the field to the method in a sentence."""
    asked, read = subject.spec.quantization.method, _reading(subject)
    if read is not None and not read.refused and (asked is None or not read.taken):
        return METHOD.get(read.method), "spec.model.source", subject.spec.model.source, f"is quantized with {read.method}, which "
    method = METHOD.get(asked or "")
    if method is not None and method.unquantized_as is not None and _is_plain(subject):
        return METHOD[method.unquantized_as], FIELD, method.name, f"becomes {method.unquantized_as} for this checkpoint, which "
    if method is not None and method.online and method.checkpoint and read is None:
        # As a format of checkpoints it asks for more than it does while it quantizes (online/base.py).
        method = replace(method, min_capability=ONLINE_CAPABILITY, activations=METHOD["online"].activations)
    return method, FIELD, method.name if method else "", ""


def _other_method(subject: Subject, method: Method) -> str:
    """What to do about a method that the device does not have: those that it has, where the checkpoint leaves a choice."""
    if not method.online:
        return "choose another accelerator profile or another checkpoint"
    possible = [
        other.name
        for other in METHOD.values()
        if other.linear_bytes is not None
        and other.name not in ("online", "fp8", method.name)
        and (subject.vendor is None or subject.vendor.value in other.vendors)
        and (subject.capability is None or other.min_capability <= subject.capability)
    ]
    return f"choose one of {', '.join(possible)}, or another accelerator profile" if possible else "leave it out, or choose another accelerator profile"


def _is_plain(subject: Subject) -> bool:
    """Whether the checkpoint is known to be unquantized: neither its configuration nor any of its tensors says otherwise."""
    facts = subject.facts
    if facts is None or facts.quantization is not None or facts.weights is None or not facts.weights.tensors:
        return False
    return all(group.dtype in PLAIN for group in facts.weights.tensors)


def _dtype(subject: Subject) -> str | None:
    """The dtype that vLLM serves the model in, by its own names (config/model.py, _resolve_auto_dtype); None where that is not known."""
    asked = subject.spec.model.dtype
    if asked not in (None, "auto"):
        return DTYPES.get(asked, asked)
    own = subject.architecture.dtype if subject.architecture else None
    if own is None or subject.spec.model.runner == "pooling":
        return None
    has_bfloat16 = subject.capability is None or subject.capability >= BFLOAT16_CAPABILITY
    preferred = "bfloat16" if has_bfloat16 else "float16"
    return preferred if own == "float32" or (own == "bfloat16" and not has_bfloat16) else own
