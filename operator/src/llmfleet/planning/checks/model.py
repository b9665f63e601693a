"""The model: its names, where it comes from, what it is run for."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from llmfleet.api import source
from llmfleet.api.accelerator import Vendor
from llmfleet.api.source import Bucket, Claim, Image, Repository, Scheme
from llmfleet.api.v1alpha1 import Credentials
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import BFLOAT16_CAPABILITY, Subject
from llmfleet.planning.reserved import HUB_OFFLINE
from llmfleet.planning.violation import Violation

STREAMING_FORMATS: Final = ("auto", "modelexpress", "runai_streamer", "runai_streamer_sharded")
"""Load formats that read from object storage (config/vllm.py, try_verify_and_update_config)."""

POOLING_SUFFIXES: Final = ("ForSequenceClassification", "ForTokenClassification", "EmbeddingModel", "ForRewardModeling", "RewardModel", "ForTextEncoding")
"""Ends of the names of architectures that do not generate (config/model.py, _SUFFIX_TO_DEFAULTS)."""

GENERATING_SUFFIXES: Final = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""Ends of the names of architectures that do."""


@check("model.servedNames")
def repeated_served_names(subject: Subject) -> Iterator[Violation]:
    """Served names must differ."""
    for name, count in Counter(subject.spec.model.served_names).items():
        if count > 1:
            yield Violation("spec.model.servedNames", name, f"stands there {count} times", "keep it once")


@check("model.credentials", "adapters.items")
def credentials_without_use(subject: Subject) -> Iterator[Violation]:
    """Credentials must be of the kind that their source asks for; for what the kubelet mounts they would be ignored."""
    yield from _credentials("spec.model", subject.spec.model.source, subject.spec.model.credentials)
    for index, adapter in enumerate(subject.spec.adapters.items):
        yield from _credentials(f"spec.adapters.items[{index}]", adapter.source, adapter.credentials)


def _credentials(field: str, wanted: str, credentials: Credentials | None) -> Iterator[Violation]:
    if credentials is None:
        return
    origin = source.parse(wanted)
    if isinstance(origin, Claim | Image):
        rule = f"have no use: the kubelet mounts {field}.source"
        pulled = "; for a private image set spec.template.spec.imagePullSecrets" if isinstance(origin, Image) else ""
        yield Violation(f"{field}.credentials", "", rule, f"remove them{pulled}")
    elif isinstance(origin, Bucket) and origin.scheme is Scheme.S3 and credentials.secret_key_ref is not None:
        rule = "is one value, and s3:// asks for two or more"
        remedy = f"set {field}.credentials.secretRef to a Secret whose keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        yield Violation(f"{field}.credentials.secretKeyRef", credentials.secret_key_ref.name, rule, remedy)


@check("model.cache")
def cache_without_use(subject: Subject) -> Iterator[Violation]:
    """A cache is filled from a hub or object storage; what is mounted is not copied."""
    model = subject.spec.model
    if model.cache is not None and isinstance(source.parse(model.source), Claim | Image):
        yield Violation("spec.model.cache", "", "would never be filled: the kubelet mounts spec.model.source", "remove it")


@check("model.tokenizer", "engine.speculative.model")
def sources_that_vllm_cannot_read(subject: Subject) -> Iterator[Violation]:
    """Tokenizers and draft models are read from a hub or from a directory in the pod; vLLM streams nothing but the model itself from object storage."""
    speculative = subject.spec.engine.speculative
    given = {"spec.model.tokenizer": subject.spec.model.tokenizer, "spec.engine.speculative.model": speculative.model if speculative else None}
    for field, wanted in given.items():
        if wanted is not None and isinstance(source.parse(wanted), Bucket):
            rule = "lies in object storage, from which vLLM reads only the model itself"
            yield Violation(field, wanted, rule, "take it from hf://, modelscope://, oci:// or pvc://")


@check("model.loadFormat", "model.cache")
def load_format_of_object_storage(subject: Subject) -> Iterator[Violation]:
    """Without a cache vLLM streams a model from object storage, and only some load formats can (config/vllm.py, try_verify_and_update_config)."""
    model = subject.spec.model
    streamed = isinstance(source.parse(model.source), Bucket) and model.cache is None
    if streamed and model.load_format is not None and model.load_format.lower() not in STREAMING_FORMATS:
        remedy = f"leave it out, choose one of {', '.join(STREAMING_FORMATS)}, or set spec.model.cache"
        yield Violation("spec.model.loadFormat", model.load_format, "cannot read from object storage", remedy)


@check("model.source", "model.cache", "accelerator.profile")
def streaming_on_the_cpu(subject: Subject) -> Iterator[Violation]:
    """Streaming needs the package runai-model-streamer, which vLLM installs on its images for accelerators."""
    model = subject.spec.model
    if isinstance(source.parse(model.source), Bucket) and model.cache is None and subject.vendor is Vendor.CPU and not subject.own_image:
        rule = "is streamed with the package runai-model-streamer, which vLLM's image for CPUs need not hold"
        yield Violation("spec.model.source", model.source, rule, "set spec.model.cache, and the model is fetched before", warning=True)


@check("model.loadFormat")
def dummy_weights(subject: Subject) -> Iterator[Violation]:
    """The load format `dummy` is for measurements."""
    if (subject.spec.model.load_format or "").lower() == "dummy":
        yield Violation("spec.model.loadFormat", "dummy", "serves random weights: answers mean nothing", "remove it to load the model's own", warning=True)


@check("model.trustRemoteCode")
def code_that_is_not_run(subject: Subject) -> Iterator[Violation]:
    """A repository may bring code (config.json, auto_map). vLLM has most such models itself, so that is no refusal (transformers_utils/config.py)."""
    if subject.spec.model.trust_remote_code or subject.facts is None:
        return
    custom = subject.facts.config.get("auto_map")
    if isinstance(custom, dict) and "AutoConfig" in custom:
        rule = "is off, and the model's repository brings Python code of its own, which is not run; vLLM has most such models itself"
        yield Violation("spec.model.trustRemoteCode", "", rule, "if the engine asks for it: read that code, then set it to true", warning=True)


@check("model.trustRemoteCode", "model.source", "model.cache")
def code_of_another_repository(subject: Subject) -> Iterator[Violation]:
    """Code may lie in another repository, which nothing fetches beforehand (auto_map: `owner/name--module.Class`; transformers, dynamic_module_utils.py)."""
    model, speculative = subject.spec.model, subject.spec.engine.speculative
    asked = (None if model.cache is not None else model.source, model.tokenizer, speculative.model if speculative else None)
    online = any(place and isinstance(source.parse(place), Repository) for place in asked)
    if not model.trust_remote_code or subject.facts is None or online or any(variable.name == HUB_OFFLINE for variable in subject.spec.engine.env):
        return
    custom = subject.facts.config.get("auto_map")
    classes = [name for value in (custom.values() if isinstance(custom, dict) else ()) for name in (value if isinstance(value, list) else [value])]
    elsewhere = sorted({name.partition("--")[0] for name in classes if isinstance(name, str) and "--" in name})
    if elsewhere:
        rule = f"needs the Python code of {', '.join(elsewhere)}, and the engine asks no hub, because the model lies in its pod"
        remedy = f"leave it out where vLLM has the model itself, or let the engine fetch that code: set {HUB_OFFLINE} to 0 in spec.engine.env"
        yield Violation("spec.model.trustRemoteCode", "", rule, remedy, warning=True)


@check("model.runner", "model.convert")
def runner_against_architecture(subject: Subject) -> Iterator[Violation]:
    """What a model is run for must be what it can (config/model.py, _get_runner_type)."""
    model = subject.spec.model
    if model.runner == "generate" and model.convert in ("embed", "classify"):
        yield Violation(
            "spec.model.convert", model.convert, "makes a pooling model, and spec.model.runner is generate", "set spec.model.runner to pooling", warning=True
        )
    named = subject.facts.config.get("architectures") if subject.facts else None
    architectures = named if isinstance(named, list) else ()
    if model.runner == "generate" and architectures and all(str(name).endswith(POOLING_SUFFIXES) for name in architectures):
        rule = f"does not go with the architecture {architectures[0]}, which does not generate"
        yield Violation("spec.model.runner", "generate", rule, "set it to pooling, or leave it out", warning=True)
    if model.runner == "pooling" and model.convert == "none" and architectures and all(str(name).endswith(GENERATING_SUFFIXES) for name in architectures):
        rule = f"leaves the architecture {architectures[0]} as it is, which generates, and spec.model.runner is pooling"
        yield Violation("spec.model.convert", "none", rule, "set it to embed or classify, or leave it out", warning=True)


@check("model.dtype", "model.source", "accelerator.profile")
def float16_of_unstable_models(subject: Subject) -> Iterator[Violation]:
    """Some families overflow in float16, and vLLM refuses it for them; without bfloat16 they take float32 (config/model.py, _resolve_auto_dtype)."""
    dtype, family = subject.spec.model.dtype, subject.facts.config.get("model_type") if subject.facts else None
    if family not in ("gemma2", "gemma3", "gemma3_text", "glm4"):
        return
    if dtype in ("float16", "half"):
        remedy = "use bfloat16, or float32 on a device without it"
        yield Violation("spec.model.dtype", dtype, f"is not supported for models of type {family}: they overflow in it", remedy)
    elif dtype in (None, "auto") and subject.capability is not None and subject.capability < BFLOAT16_CAPABILITY:
        rule = f"becomes float32 on {subject.profile_name}, which has no bfloat16, because models of type {family} overflow in float16: twice the memory"
        yield Violation("spec.model.dtype", "", rule, "choose an accelerator of compute capability 8.0 or more", warning=True)


@check("model.dtype", "accelerator.profile")
def bfloat16_of_old_devices(subject: Subject) -> Iterator[Violation]:
    """NVIDIA devices have bfloat16 from compute capability 8.0 on; with dtype auto vLLM takes float16 there (platforms/cuda.py, check_if_supports_dtype)."""
    capability = subject.capability
    if subject.spec.model.dtype == "bfloat16" and capability is not None and capability < BFLOAT16_CAPABILITY:
        rule = f"needs compute capability 8.0, and {subject.profile_name} has {capability / 10:.1f}"
        yield Violation("spec.model.dtype", "bfloat16", rule, "use float16, leave it out, or choose another accelerator profile")
