"""Inputs other than text, and what is read out of answers.

Source: vLLM 0.32.0, config/multimodal.py, config/structured_outputs.py, entrypoints/launchers/cli_args.py.
"""

from collections.abc import Iterator
from typing import Final

from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

KINDS: Final = frozenset({"image", "video", "audio", "vision_chunk"})
"""Kinds of input that vLLM's models have (multimodal/processing/context.py); a plugin's model may have others."""

WITHOUT_BLANKS: Final = frozenset({"xgrammar", "guidance"})
"""Backends of structured outputs that can leave blanks out of JSON."""


@check("engine.multimodal.limits", "engine.multimodal.processorOptions", "engine.multimodal.cache", "model.source")
def inputs_of_text_models(subject: Subject) -> Iterator[Violation]:
    """A model that takes text alone has no limits for other inputs: vLLM passes over them (config/model.py)."""
    given, architecture = subject.spec.engine.multimodal, subject.architecture
    if given is not None and architecture is not None and not architecture.other_inputs:
        rule = "has no effect: the model's config.json names no input but text"
        yield Violation("spec.engine.multimodal", "", rule, "remove it", warning=True)


@check("engine.multimodal.limits")
def kinds_of_input(subject: Subject) -> Iterator[Violation]:
    """A limit for a kind of input that no model has limits nothing."""
    given = subject.spec.engine.multimodal
    for kind in sorted(given.limits.keys() - KINDS) if given else ():
        rule = "is no kind of input that vLLM's own models have"
        yield Violation(f"spec.engine.multimodal.limits.{kind}", "", rule, f"choose one of {', '.join(sorted(KINDS))}", warning=True)


@check("engine.structuredOutputs.disableAnyWhitespace", "engine.structuredOutputs.backend")
def compact_json(subject: Subject) -> Iterator[Violation]:
    """Only some backends can leave blanks out, and which one runs must be said (config/structured_outputs.py)."""
    given = subject.spec.engine.structured_outputs
    if given is not None and given.disable_any_whitespace and given.backend not in WITHOUT_BLANKS:
        rule = "is for the backends xgrammar and guidance"
        yield Violation("spec.engine.structuredOutputs.disableAnyWhitespace", "", rule, "set spec.engine.structuredOutputs.backend to one of them")


@check("engine.toolCalling", "engine.reasoning", "model.runner", "model.convert")
def answers_of_pooling_models(subject: Subject) -> Iterator[Violation]:
    """A pooling model has no answers to read anything out of."""
    model, engine = subject.spec.model, subject.spec.engine
    if model.runner != "pooling" and model.convert not in ("embed", "classify"):
        return
    for field, given in (("toolCalling", engine.tool_calling), ("reasoning", engine.reasoning), ("structuredOutputs", engine.structured_outputs)):
        if given is not None:
            yield Violation(f"spec.engine.{field}", "", "has no effect: a pooling model gives no answers in text", "remove it", warning=True)
