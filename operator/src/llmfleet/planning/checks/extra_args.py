"""engine.extraArgs, as vLLM would read them."""

from collections.abc import Iterator
from typing import Final

from llmfleet.planning import reserved
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import owned

_SWITCH_PREFIXES: Final = ("--enable-", "--no-")
_SWITCHES: Final = ("--enforce-eager", "--trust-remote-code", "--async-scheduling", "--allow-deprecated-quantization", "--aggregate-engine-logging")
"""Flags of vLLM 0.32.0 without a value; all that begin so are. A switch that is missing here is told by vLLM, not before."""


def owned_flags(subject: Subject) -> Iterator[Violation]:
    """No flag has two owners."""
    for refusal in owned.refusals(subject.spec.engine.extra_args):
        yield Violation(f"spec.engine.extraArgs[{refusal.index}]", refusal.flag, refusal.rule, refusal.remedy)


def stray_values(subject: Subject) -> Iterator[Violation]:
    """A value behind a flag that takes none would be a second model, and vLLM ends. Told only where the spelling of the flag shows that it takes none."""
    items = subject.spec.engine.extra_args
    for index, item in enumerate(items):
        field = f"spec.engine.extraArgs[{index}]"
        if index and item == "--":
            yield Violation(field, item, "ends the flags: vLLM would take what follows for a second model", "remove it")
        elif index and owned.flag_name(item) is None and _is_complete(items[index - 1]):
            # The value is not repeated: it may be a key.
            flag = items[index - 1].split("=", 1)[0].split(" ", 1)[0]
            rule = f"is a value behind {flag}, which takes no further one: vLLM would take it for a second model"
            yield Violation(field, "", rule, "remove it, or put the flag that it belongs to before it")


def memory_said_twice(subject: Subject) -> Iterator[Violation]:
    """Of two sizes of the KV cache vLLM takes one without a word: --kv-cache-memory-bytes before the utilisation, the CPU's variable before both."""
    variables = {*(subject.profile.env if subject.profile else ()), *(variable.name for variable in subject.spec.engine.env)}
    if reserved.CPU_KV_CACHE in variables:
        for index, item in enumerate(subject.spec.engine.extra_args):
            if owned.flag_name(item) == "--kv-cache-memory-bytes":
                rule = f"would be ignored: {reserved.CPU_KV_CACHE} (in spec.engine.env or in the accelerator profile) overrides it"
                remedy = f"remove it and set {reserved.CPU_KV_CACHE} in spec.engine.env, in whole GiB"
                yield Violation(f"spec.engine.extraArgs[{index}]", "--kv-cache-memory-bytes", rule, remedy)
    if subject.spec.engine.memory_utilization is not None and _gives(subject, "--kv-cache-memory-bytes"):
        yield Violation("spec.engine.memoryUtilization", "", "would be ignored: --kv-cache-memory-bytes in extraArgs overrides it", "remove one of them")


def _is_complete(item: str) -> bool:
    """Whether an item is a flag that takes nothing from the next one: it has its value, or is one of those that have none."""
    name = owned.flag_name(item)
    return name is not None and ("=" in item or name in _SWITCHES or name.startswith(_SWITCH_PREFIXES))


def _gives(subject: Subject, flag: str) -> bool:
    """Whether extraArgs hold a flag."""
    return any(owned.flag_name(item) == flag for item in subject.spec.engine.extra_args)
