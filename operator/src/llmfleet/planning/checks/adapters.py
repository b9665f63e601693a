"""LoRA adapters: names and sizes.

Source: vLLM 0.32.0, config/lora.py, entrypoints/openai/models/serving.py (a name is looked for among the model's before the adapters').
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

ITEMS: Final = "spec.adapters.items"


@check("adapters.items", "model.servedNames")
def adapter_names(subject: Subject) -> Iterator[Violation]:
    """An adapter is asked for by its name, so no two share one, and none has that of the model."""
    own = subject.spec.model.served_names or [subject.name]
    for name, count in Counter(adapter.name for adapter in subject.spec.adapters.items).items():
        if count > 1:
            yield Violation(ITEMS, name, f"stands there {count} times", "give each adapter a name of its own")
    for index, adapter in enumerate(subject.spec.adapters.items):
        if adapter.name in own:
            rule = "is a name of the model itself: the adapter could never be asked for"
            yield Violation(f"{ITEMS}[{index}].name", adapter.name, rule, "choose another name")


@check("adapters.maxRank")
def adapter_rank(subject: Subject) -> Iterator[Violation]:
    """The largest rank is one of a few that vLLM has kernels for (config/lora.py, MaxLoRARanks)."""
    rank, known = subject.spec.adapters.max_rank, subject.catalogue
    if rank is None or known is None:
        return
    choices = sorted(int(choice) for choice in known.flags["--max-lora-rank"].choices)
    if choices and rank not in choices:
        larger = [choice for choice in choices if choice >= rank]
        remedy = f"set it to {larger[0]}, the next larger one" if larger else f"set it to {choices[-1]}, the largest"
        yield Violation("spec.adapters.maxRank", str(rank), f"is none of the ranks that vLLM takes: {', '.join(map(str, choices))}", remedy)


@check("adapters.maxLoaded", "adapters.items")
def adapters_that_take_turns(subject: Subject) -> Iterator[Violation]:
    """Fewer places than adapters is allowed: vLLM reads an adapter again whenever it takes another's place."""
    adapters = subject.spec.adapters
    if adapters.max_loaded is not None and adapters.max_loaded < len(adapters.items):
        rule = f"is less than there are adapters ({len(adapters.items)}): requests for the others wait until a place is free and the adapter is read again"
        remedy = f"raise it to {len(adapters.items)}, or keep them in host memory with --max-cpu-loras={len(adapters.items)} in spec.engine.extraArgs"
        yield Violation("spec.adapters.maxLoaded", str(adapters.max_loaded), rule, remedy, warning=True)
    elif adapters.max_loaded is not None and adapters.items and adapters.max_loaded > len(adapters.items):
        rule = f"is more than there are adapters ({len(adapters.items)}), and each place takes memory of the accelerator"
        yield Violation("spec.adapters.maxLoaded", str(adapters.max_loaded), rule, f"lower it to {len(adapters.items)}", warning=True)
