"""What vLLM refuses of a whole command line before it makes an engine.

Source: vLLM 0.32.0, validate_parsed_serve_args (vllm/entrypoints/launchers/cli_args.py); the same in 0.31.0. Its rules for --grpc-port and for
--data-parallel-multi-port-external-lb are not here: those flags are the operator's (owned), and a chat template is a file in the pod.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmfleet.vllm.reading import Reading


@dataclass(frozen=True, slots=True)
class CommandRule:
    """One thing that is refused."""

    flag: str
    """The flag that the message names; it is given wherever the rule is broken."""
    broken: Callable[[Reading], bool]
    rule: str
    remedy: str


def _without(flag: str, needed: str) -> Callable[[Reading], bool]:
    return lambda reading: reading.is_on(flag) and not reading.is_on(needed)


COMMAND_RULES: Final = (
    CommandRule(
        "--enable-auto-tool-choice",
        lambda reading: reading.is_on("--enable-auto-tool-choice") and not any(any(each.values) for each in reading.of("--tool-call-parser")),
        "needs --tool-call-parser",
        "add the parser of the model, or remove it",
    ),
    CommandRule(
        "--enable-log-outputs",
        _without("--enable-log-outputs", "--enable-log-requests"),
        "needs --enable-log-requests",
        "add it too, or remove --enable-log-outputs",
    ),
    CommandRule(
        "--sse-keep-alive-interval",
        lambda reading: any(isinstance(value, int | float) and value < 0 for each in reading.of("--sse-keep-alive-interval") for value in each.values),
        "must be at least 0",
        "write 0 for no keep-alive comments",
    ),
    CommandRule(
        "--enable-per-request-metrics",
        lambda reading: reading.is_on("--enable-per-request-metrics") and reading.is_on("--disable-log-stats"),
        "needs the statistics that --disable-log-stats turns off",
        "remove --disable-log-stats",
    ),
)
"""In vLLM's order."""
