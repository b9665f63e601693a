"""How a replica is spread over accelerators: against the model's shape, the machine and vLLM's rules.

Source: vLLM 0.32.0, config/model.py (verify_with_parallel_config), config/parallel.py (_validate_parallel_config), distributed/utils.py (get_pp_indices,
ensure_divisibility), model_executor/layers/linear.py (QKVParallelLinear), engine/arg_utils.py (_check_feature_supported).
"""

from collections.abc import Iterable, Iterator, Mapping
from math import lcm
from typing import Any, Final

from llmfleet.api.accelerator import Vendor
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm.checkpoint import declared

LARGEST: Final = 64
"""Largest tensor size of the API."""

PADDED_VOCABULARY: Final = 64
"""The vocabulary is padded to a multiple of this and then divided (layers/vocab_parallel_embedding.py)."""

TENSOR: Final = "spec.parallelism.tensor"


@check("parallelism.nodes")
def several_nodes(subject: Subject) -> Iterator[Violation]:
    """A replica that spans nodes needs a workload that starts a group of pods together."""
    nodes = subject.spec.parallelism.nodes
    if nodes > 1:
        rule = "needs the LeaderWorkerSet workload, which this operator does not have yet"
        yield Violation("spec.parallelism.nodes", str(nodes), rule, "set it to 1 and keep tensor x pipeline x data within one node")


@check("parallelism.executor", "parallelism.tensor", "parallelism.pipeline", "parallelism.data")
def executor(subject: Subject) -> Iterator[Violation]:
    """The ranks of one pod are processes: `uni` runs one rank, and `ray` needs a Ray cluster."""
    parallelism = subject.spec.parallelism
    ranks = parallelism.tensor * parallelism.pipeline
    if parallelism.executor == "ray":
        rule = "needs a Ray cluster, which a replica of one pod does not have"
        yield Violation("spec.parallelism.executor", "ray", rule, "remove it: vLLM takes mp for several accelerators of one node")
    elif parallelism.executor == "uni" and ranks > 1 and not (subject.vendor is Vendor.CPU and parallelism.pipeline == 1):
        # On the CPU vLLM makes mp of it (platforms/cpu.py), after it has refused several stages.
        rule = f"runs one rank, and tensor x pipeline is {ranks}"
        yield Violation("spec.parallelism.executor", "uni", rule, "remove it, or set it to mp")


@check("parallelism.tensor", "parallelism.pipeline", "parallelism.data", "accelerator.profile")
def more_than_a_node(subject: Subject) -> Iterator[Violation]:
    """A replica is one pod, and a pod lies on one node."""
    parallelism, profile = subject.spec.parallelism, subject.profile
    per_node = profile.per_node if profile else None
    wanted = parallelism.accelerators_per_pod
    if per_node is not None and wanted > per_node:
        product = f"tensor {parallelism.tensor} x pipeline {parallelism.pipeline} x data {parallelism.data} = {wanted}"
        rule = f"{product} accelerators, and a node of {subject.profile_name} has {per_node}: the replica could never be scheduled"
        yield Violation("spec.parallelism", "", rule, f"lower them to {per_node} or less together")


@check("parallelism.tensor", "model.source", "accelerator.profile")
def tensor_divides_attention_heads(subject: Subject) -> Iterator[Violation]:
    """Attention heads are shared out evenly (config/model.py, verify_with_parallel_config)."""
    architecture, tensor = subject.architecture, subject.spec.parallelism.tensor
    if architecture is None or not architecture.attention_heads:
        return
    heads = architecture.attention_heads
    if heads % tensor:
        rule = f"{heads} attention heads cannot be shared by {tensor} accelerators"
        yield Violation(TENSOR, str(tensor), rule, _sizes(subject, (size for size in range(1, LARGEST + 1) if heads % size == 0)))


@check("parallelism.tensor", "model.source", "accelerator.profile")
def tensor_divides_kv_heads(subject: Subject) -> Iterator[Violation]:
    """Key-value heads are shared out evenly, or each is copied equally often (model_executor/layers/linear.py, QKVParallelLinear)."""
    architecture, tensor = subject.architecture, subject.spec.parallelism.tensor
    if architecture is None or not architecture.attention_heads or architecture.latent is not None or architecture.attention_heads % tensor:
        return
    heads = architecture.kv_heads
    if heads % tensor and tensor % heads:
        rule = f"{heads} key-value heads can neither be shared by {tensor} accelerators nor each be copied equally often"
        possible = (size for size in range(1, LARGEST + 1) if architecture.attention_heads % size == 0 and (heads % size == 0 or size % heads == 0))
        yield Violation(TENSOR, str(tensor), rule, _sizes(subject, possible))


@check("parallelism.tensor", "model.source")
def tensor_divides_the_vocabulary(subject: Subject) -> Iterator[Violation]:
    """The padded vocabulary is shared out evenly (layers/vocab_parallel_embedding.py), and so is the width of feed-forward layers (layers/linear.py).

    vLLM pads the width in some number formats, so that is a warning.
    """
    architecture, tensor = subject.architecture, subject.spec.parallelism.tensor
    if architecture is None or tensor == 1:
        return
    padded = -(-architecture.vocabulary // PADDED_VOCABULARY) * PADDED_VOCABULARY
    if padded % tensor:
        rule = f"cannot share a vocabulary of {architecture.vocabulary}, padded to {padded}"
        yield Violation(TENSOR, str(tensor), rule, "use a power of two")
    elif architecture.experts is None and architecture.intermediate_size % tensor:
        rule = f"cannot share feed-forward layers of width {architecture.intermediate_size} evenly"
        yield Violation(TENSOR, str(tensor), rule, "use a divisor of it", warning=True)


@check("parallelism.tensor", "parallelism.data", "parallelism.expert", "model.source")
def blocks_across_ranks(subject: Subject) -> Iterator[Violation]:
    """Weights quantized in blocks or groups are shared out by whole ones (fp8_utils.py, validate_fp8_block_shape; auto_awq.py; kernels' can_implement)."""
    architecture, parallelism, facts = subject.architecture, subject.spec.parallelism, subject.facts
    if architecture is None or facts is None or facts.quantization is None:
        return
    method, block = declared(facts.quantization), _block(facts.quantization)
    experts = architecture.experts
    ranks = parallelism.tensor if experts is None else parallelism.tensor * parallelism.data
    width = architecture.intermediate_size if experts is None else experts.intermediate_size
    if block is None or ranks == 1 or (experts is not None and (parallelism.expert or method != "fp8")) or width % ranks or (width // ranks) % block == 0:
        return
    what = "feed-forward layers" if experts is None else "experts"
    possible = [size for size in range(1, LARGEST + 1) if width % size == 0 and (width // size) % block == 0 and architecture.attention_heads % size == 0]
    rule = f"{what} of width {width} are quantized with {method} in blocks of {block}, and {width} / {ranks} = {width // ranks} is no whole number of them"
    remedy = _sizes(subject, possible or [1]) + (", or spread whole experts with spec.parallelism.expert" if experts is not None else "")
    yield Violation(TENSOR, str(parallelism.tensor), rule, remedy)


def _block(quantization: Mapping[str, Any]) -> int | None:
    """Weights of one block or group of a checkpoint along the width; None where it has none."""
    method = declared(quantization)
    if method == "fp8":
        sides = quantization.get("weight_block_size")
        return lcm(*sides) if isinstance(sides, list) and sides and all(isinstance(side, int) and side > 0 for side in sides) else None
    size = quantization.get("group_size", quantization.get("q_group_size"))
    return size if method in ("awq", "gptq") and isinstance(size, int) and size > 0 else None


@check("parallelism.tensor", "parallelism.decodeContext", "model.source")
def copied_kv_heads(subject: Subject) -> Iterator[Violation]:
    """With fewer key-value heads than tensor ranks each rank keeps a copy, which costs KV cache (config/model.py, get_num_kv_heads)."""
    architecture, parallelism = subject.architecture, subject.spec.parallelism
    if architecture is None or not architecture.attention_heads or parallelism.decode_context > 1:
        return
    heads = 1 if architecture.latent is not None else architecture.kv_heads
    if architecture.attention_heads % parallelism.tensor or parallelism.tensor % heads or parallelism.tensor <= heads:
        return
    kept = [layer.attention for layer in architecture.layers if layer.attention is not None]
    each = sum(2 * attention.kv_heads * (attention.key_size + attention.value_size) for attention in kept)
    copies = parallelism.tensor // heads
    if architecture.latent is not None:
        why, remedy = "keeps one latent for all heads (MLA)", ""
    else:
        why, remedy = f"has {heads} key-value head{'s' if heads > 1 else ''}", f"lower it to {heads}, or "
    rule = f"is larger than the model can share its KV cache: it {why}, so each token is kept {copies} times, {each * (copies - 1)} bytes more in 16 bit"
    remedy += f"share the KV cache with spec.parallelism.decodeContext {copies}"
    yield Violation(TENSOR, str(parallelism.tensor), rule, remedy, warning=True)


@check("parallelism.pipeline", "model.source")
def pipeline_within_layers(subject: Subject) -> Iterator[Violation]:
    """Each stage has at least one layer (distributed/utils.py, get_pp_indices)."""
    architecture, pipeline = subject.architecture, subject.spec.parallelism.pipeline
    if architecture is not None and pipeline > len(architecture.layers):
        layers = len(architecture.layers)
        yield Violation("spec.parallelism.pipeline", str(pipeline), f"is more stages than the model has layers ({layers})", f"lower it to {layers} or less")


@check("parallelism.data", "parallelism.expert", "model.source")
def data_without_experts(subject: Subject) -> Iterator[Violation]:
    """Copies of a dense model in one pod share nothing: as replicas they are scheduled, scaled and replaced one by one."""
    data = subject.spec.parallelism.data
    if subject.is_dense and data > 1:
        rule = "makes copies of a dense model in one pod, which share nothing"
        yield Violation("spec.parallelism.data", str(data), rule, f"set it to 1 and spec.replicas to {data} times as many", warning=True)


@check("parallelism.expert", "parallelism.data", "model.source")
def experts(subject: Subject) -> Iterator[Violation]:
    """Only a mixture has experts to spread (config/model.py, _verify_with_expert_parallelism); over one rank there is nothing to spread."""
    parallelism = subject.spec.parallelism
    if not parallelism.expert:
        return
    if subject.is_dense:
        yield Violation("spec.parallelism.expert", "", "is true, and the model has no experts", "remove it")
    elif parallelism.tensor * parallelism.data == 1:
        rule = "is true, and tensor x data is 1: there is one rank, and nothing to spread"
        yield Violation("spec.parallelism.expert", "", rule, "raise one of them, or remove it", warning=True)


@check("parallelism.decodeContext", "parallelism.tensor", "model.source")
def decode_context(subject: Subject) -> Iterator[Violation]:
    """The KV cache is shared among tensor ranks that would keep copies of it (config/parallel.py; config/model.py, verify_with_parallel_config)."""
    parallelism, architecture = subject.spec.parallelism, subject.architecture
    size, tensor, field = parallelism.decode_context, parallelism.tensor, "spec.parallelism.decodeContext"
    if size == 1:
        return
    if tensor % size:
        yield Violation(field, str(size), f"does not divide tensor ({tensor})", f"use a divisor of {tensor}, or 1")
        return
    if architecture is None or architecture.latent is not None or not architecture.kv_heads:
        return
    heads, most = architecture.kv_heads, tensor // architecture.kv_heads
    queries = architecture.attention_heads // heads
    if tensor <= heads:
        rule = f"needs a tensor size above the model's {heads} key-value heads, and it is {tensor}: there are no copies to save"
        yield Violation(field, str(size), rule, "set it to 1")
    elif size > most:
        rule = f"is more than the {most} copies that tensor {tensor} makes of {heads} key-value heads"
        yield Violation(field, str(size), rule, f"lower it to {most}")
    elif queries % size:
        rule = f"does not divide the {queries} query heads of each key-value head"
        yield Violation(field, str(size), rule, "use a divisor of it, or 1")


@check("parallelism.tensor", "parallelism.pipeline", "parallelism.data", "accelerator.profile")
def ranks_on_the_cpu(subject: Subject) -> Iterator[Violation]:
    """On the CPU ranks share one machine's cores and memory: more of them seldom help, and each has a KV cache of its own."""
    ranks = subject.spec.parallelism.accelerators_per_pod
    if subject.vendor is Vendor.CPU and ranks > 1:
        rule = f"makes {ranks} ranks on one machine's CPU: they share its cores, and each keeps a KV cache of its own"
        yield Violation("spec.parallelism", "", rule, "use 1 unless the machine has several sockets", warning=True)


@check("parallelism.expert", "parallelism.data", "accelerator.profile")
def experts_apart_on_the_cpu(subject: Subject) -> Iterator[Violation]:
    """No kernel of the CPU knows of experts on another rank: a server of vLLM 0.32.0 starts, and its first request ends a worker (measured, both ways)."""
    parallelism = subject.spec.parallelism
    if subject.vendor is not Vendor.CPU:
        return
    rule = "spreads experts over ranks, and on the CPU the first request ends vLLM: its kernels there know only experts that every rank has"
    if parallelism.expert:
        yield Violation("spec.parallelism.expert", "", rule, "remove it: every rank then has a slice of each expert")
    elif parallelism.data > 1:
        yield Violation("spec.parallelism.data", str(parallelism.data), rule, "use spec.replicas, or spec.parallelism.tensor")


def _sizes(subject: Subject, possible: Iterable[int]) -> str:
    """The sizes that work, and those of them that one node has."""
    sizes = list(possible)
    per_node = subject.profile.per_node if subject.profile else None
    if per_node is None or sizes[-1] <= per_node:
        return f"use {_listed(sizes)}"
    others = subject.spec.parallelism.pipeline * subject.spec.parallelism.data
    on_one = [size for size in sizes if size * others <= per_node]
    return f"use {_listed(sizes)} (perNode {per_node}: {_listed(on_one)})" if on_one else f"use {_listed(sizes)}"


def _listed(sizes: list[int]) -> str:
    if len(sizes) == 1:
        return str(sizes[0])
    return ", ".join(map(str, sizes[:-1])) + f" or {sizes[-1]}"
