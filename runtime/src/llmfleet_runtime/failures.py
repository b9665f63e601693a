"""Why an engine ended, in one word of a closed list and in the engine's own words."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from llmfleet_runtime.failure_patterns import GENERIC, PATTERNS, REMEDIES, Reason

MESSAGE_BYTES: Final = 4096
"""Longest termination message that the kubelet takes (kubernetes, pkg/kubelet/container/runtime.go: MaxContainerTerminationMessageLength)."""

_COMPILED: Final = tuple((row, re.compile(row.pattern)) for row in PATTERNS)
_GENERIC: Final = re.compile(GENERIC)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine ended."""

    reason: StrEnum
    """failure_patterns.Reason for an engine."""
    message: str
    """What went wrong, in the engine's words where it has any."""
    remedy: str
    """What to do, in one sentence with the names of our fields; empty where the message ends with it."""
    exit_code: int
    """Exit code of the container."""


def remedy_of(reason: Reason) -> str:
    """What to do about a failure of which nothing but the reason is known."""
    return REMEDIES[reason]


def classify(exit_code: int, lines: Sequence[str], secrets: Iterable[str] = ()) -> Failure:
    """The failure of an engine that ended by itself: its code as waitpid tells it (negative: the signal), and the error lines of its output, oldest first.

    The first line that says what went wrong is the cause; the engine's processes then tell each other that something did.
    """
    ended = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    telling = [line for line in lines if not _GENERIC.search(line)]
    found = next(_matches(telling), None)
    if found is None and not telling:
        found = next(_matches(lines), None)
    if found is not None:
        reason, message, remedy = found
    else:
        reason = Reason.ENGINE_DIED if exit_code <= 0 else Reason.INVALID_ARGUMENT if exit_code == 2 else Reason.ENGINE_FAILED
        message, remedy = next(iter(telling or lines), ""), remedy_of(reason)
    if not message:
        message = f"the engine ended by itself ({ended}) and said no reason"
        if exit_code == -9:
            message += "; the kernel kills so where the container's memory limit is exceeded"
    for secret in secrets:
        message, remedy = message.replace(secret, "***"), remedy.replace(secret, "***")
    return Failure(reason, message, remedy, container_exit_code(exit_code))


def container_exit_code(exit_code: int) -> int:
    """What the container ends with: the engine's code, 128 + n for a signal as shells do; 0 becomes 1, for an engine that ends unasked has failed.

    vLLM ends with 0 where its engine process died (0.32, measured three times of three; vllm #48966).
    """
    return 128 - exit_code if exit_code < 0 else exit_code or 1


def write_termination_message(path: Path, failure: Failure, state: str = "") -> None:
    """Write the failure for the kubelet: one JSON object of at most 4096 bytes; OSError where the file cannot be written.

    `state` is where the launcher was in its life; empty for what has none. Where it is too long the message is cut, the remedy never.
    """
    message = failure.message
    while len(content := _encoded(failure, message, state)) > MESSAGE_BYTES:
        message = message[: len(message) - max(1, (len(content) - MESSAGE_BYTES) // 6)]
    path.write_bytes(content)


def _encoded(failure: Failure, message: str, state: str) -> bytes:
    document = {"reason": failure.reason, "message": message, "remedy": failure.remedy, "state": state, "exitCode": failure.exit_code}
    return json.dumps({key: value for key, value in document.items() if value != ""}, ensure_ascii=False).encode(errors="replace")


def _matches(lines: Iterable[str]) -> Iterator[tuple[Reason, str, str]]:
    for line in lines:
        for row, pattern in _COMPILED:
            if match := pattern.search(line):
                groups = match.groupdict(default="")
                yield row.reason, groups.get("message") or line, (row.remedy or remedy_of(row.reason)).format_map(groups)
