"""LoRA adapters: names and sizes.

Source: vLLM 0.32.0, config/lora.py, entrypoints/openai/models/serving.py (a name is looked for among the model's before the adapters').
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from llmfleet.planning.checks import extra_args
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

ITEMS: Final = "spec.adapters.items"
EXTRA_ARGS: Final = "spec.engine.extraArgs"


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
    """More adapters than places is allowed, and costs steps: vLLM reads an adapter from its files whenever it takes another's place.

    More places than adapters says nothing: they are for those that come while the engines run.
    """
    adapters = subject.spec.adapters
    count, places = len(adapters.items), adapters.places
    if count > places and max(_host_places(subject), default=0) < count:
        by_default = " by default" if adapters.max_loaded is None else ""
        rule = f"{by_default} is less than there are adapters ({count}): one that finds no place waits, and all wait while it is read from its files again"
        remedy = f"raise it to {count}, or keep all in the host's memory with --max-cpu-loras={count} in {EXTRA_ARGS}"
        yield Violation("spec.adapters.maxLoaded", str(places), rule.strip(), remedy, warning=True)


@check("adapters.maxLoaded", "engine.extraArgs")
def adapters_in_host_memory(subject: Subject) -> Iterator[Violation]:
    """What has a place on the accelerator has one in the host's memory too (config/lora.py, _validate_lora_config)."""
    places = subject.spec.adapters.places
    for kept in _host_places(subject):
        if kept < places:
            by_default = ", the default" if subject.spec.adapters.max_loaded is None else ""
            rule = f"keeps fewer adapters in the host's memory than the accelerator has places for (spec.adapters.maxLoaded: {places}{by_default})"
            yield Violation(EXTRA_ARGS, f"--max-cpu-loras={kept}", rule, f"raise it to {places} or more, or lower spec.adapters.maxLoaded to {max(kept, 1)}")


def _host_places(subject: Subject) -> list[int]:
    """What --max-cpu-loras says, if it is given."""
    occurrences = extra_args.reading(subject).of("--max-cpu-loras")
    return [value for occurrence in occurrences[-1:] for value in occurrence.values if isinstance(value, int)]
