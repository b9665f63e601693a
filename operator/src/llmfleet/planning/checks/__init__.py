"""The ordered checks of a specification: each a pure function from the subject to what is wrong with it.

Here stands what the schema's CEL cannot say: tables, look-ups, vLLM's spelling, the model's own numbers. A new check is a function in the module of its
part, the fields that it is about (`@check(...)`), its place in CHECKS and a test on both sides. The same checks run in the CLI, in admission and in the
reconciler, which is the authority.
"""

from typing import Final

from llmfleet.planning.checks import (
    adapters,
    attention,
    engine,
    extra_args,
    inputs,
    length,
    memory,
    model,
    parallelism,
    pod,
    quantization,
    speculative,
    template,
    template_security,
    template_shape,
    vocabulary,
)
from llmfleet.planning.checks.check import Check, check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

_ENVIRONMENT: Final = check("engine.env")
_ARGUMENTS: Final = check("engine.extraArgs")
_TEMPLATE: Final = check("template")

CHECKS: Final[tuple[Check, ...]] = (
    # What runs at all comes first: the later checks speak of a version and a device.
    engine.unknown_profile,
    engine.unsupported_version,
    engine.unverified_version,
    # Names that are in no table.
    vocabulary.unknown_names,
    vocabulary.unknown_quantization,
    vocabulary.optional_packages,
    # The model.
    model.repeated_served_names,
    model.credentials_without_use,
    model.cache_without_use,
    model.sources_that_vllm_cannot_read,
    model.load_format_of_object_storage,
    model.streaming_on_the_cpu,
    model.dummy_weights,
    model.code_that_is_not_run,
    model.code_of_another_repository,
    model.runner_against_architecture,
    model.float16_of_unstable_models,
    model.bfloat16_of_old_devices,
    # Number formats.
    quantization.settings,
    quantization.deprecated_method,
    quantization.against_the_checkpoint,
    quantization.without_a_checkpoint,
    quantization.experts_only,
    quantization.against_the_device,
    quantization.against_the_dtype,
    attention.kv_cache_against_the_device,
    attention.kv_cache_against_the_model,
    attention.backend_against_the_device,
    attention.backend_against_the_model,
    attention.backend_against_the_kv_cache,
    attention.backend_against_the_dtype,
    attention.block_size,
    attention.prefixes_without_attention,
    # How a replica is spread.
    parallelism.several_nodes,
    parallelism.executor,
    parallelism.more_than_a_node,
    parallelism.tensor_divides_attention_heads,
    parallelism.tensor_divides_kv_heads,
    parallelism.tensor_divides_the_vocabulary,
    parallelism.blocks_across_ranks,
    parallelism.copied_kv_heads,
    parallelism.pipeline_within_layers,
    parallelism.data_without_experts,
    parallelism.experts,
    parallelism.decode_context,
    parallelism.ranks_on_the_cpu,
    parallelism.experts_apart_on_the_cpu,
    # The engine.
    length.longer_than_the_model,
    length.batch_below_sequences,
    length.batch_below_length,
    length.prefill_in_one_piece,
    length.queue_below_sequences,
    speculative.draft_model,
    speculative.lookup,
    speculative.draft_tensor,
    speculative.predicting_layers,
    speculative.room_in_a_step,
    speculative.options,
    speculative.adaptive_verification,
    speculative.pooling_model,
    speculative.lookup_on_the_gpu,
    inputs.inputs_of_text_models,
    inputs.kinds_of_input,
    inputs.compact_json,
    inputs.answers_of_pooling_models,
    memory.kv_cache_without_a_unit,
    memory.utilization_of_the_cpu,
    memory.offload_from_the_cpu,
    memory.offload_to_lmcache,
    # The adapters.
    adapters.adapter_names,
    adapters.adapter_rank,
    adapters.adapters_that_take_turns,
    adapters.adapters_in_host_memory,
    # Whether all of it fits.
    memory.does_it_fit,
    # The engine's arguments and environment.
    _ARGUMENTS(extra_args.owned_flags),
    _ARGUMENTS(extra_args.refused_arguments),
    _ENVIRONMENT(pod.reserved_environment),
    _ENVIRONMENT(pod.repeated_environment),
    check("model.source", "model.tokenizer", "engine.speculative.model", "model.cache")(pod.two_hubs),
    # The pod.
    _TEMPLATE(template.reserved_labels),
    _TEMPLATE(template_shape.template_shape),
    _TEMPLATE(template.kept_fields),
    _TEMPLATE(template.reserved_containers),
    _TEMPLATE(template.reserved_ports),
    _TEMPLATE(template.reserved_volumes),
    _TEMPLATE(template_security.unrestricted_volumes),
    _TEMPLATE(template.misplaced_mounts),
    _TEMPLATE(template.accelerators_said_twice),
    _TEMPLATE(template_security.unrestricted_security),
)
"""In the order in which a person reads a manifest."""


def findings(subject: Subject) -> tuple[Violation, ...]:
    """Everything that there is to say, refusals and warnings, in the order of CHECKS."""
    return tuple(violation for check in CHECKS for violation in check(subject))


def violations(subject: Subject) -> tuple[Violation, ...]:
    """Everything that is refused, in the order of CHECKS; empty means accepted."""
    return tuple(violation for violation in findings(subject) if not violation.warning)


def checks_of(field: str) -> tuple[Check, ...]:
    """The checks that a field decides: those that name it, a part of it, or what it is a part of."""
    return tuple(check for check in CHECKS if any(f"{each}.".startswith(f"{field}.") or f"{field}.".startswith(f"{each}.") for each in check.fields))


__all__ = ["CHECKS", "Check", "Subject", "checks_of", "findings", "violations"]
