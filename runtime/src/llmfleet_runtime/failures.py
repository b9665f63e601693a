"""Why an engine ended, in one word of a closed list, in the engine's own words, and what to do about it."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from llmfleet_runtime.failure_patterns import GENERIC, PATTERNS, REMEDIES, Pattern, Reason

MESSAGE_BYTES: Final = 4096
"""Longest termination message that the kubelet takes (kubernetes, pkg/kubelet/container/runtime.go: MaxContainerTerminationMessageLength)."""

MESSAGE_CHARACTERS: Final = 1000
"""Longest message of a failure: a person reads it in a condition, and what is longer is a list of what else there is."""

_COMPILED: Final = tuple((row, re.compile(row.pattern)) for row in PATTERNS)
_GENERIC: Final = re.compile(GENERIC)

_CHANGING: Final = (
    (r" ?\(Request ID: [^)]*\)", ""),
    (r"\bpid[= ]\d+", "pid"),
    (r"\b[Pp]rocess \d+", "process"),
    (r"\b0x[0-9a-fA-F]{4,}", "0x..."),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "..."),
    (r"\b[0-9a-f]{24,}\b", "..."),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?", "..."),
    (r"/tmp/tmp\w+", "/tmp/..."),  # noqa: S108 a text, no file
    (r"/(psm|torch|sem|mp)[_-][\w-]{6,}", r"/\1_..."),
    (r"(\d+\.\d+\.\d+\.\d+|localhost|\]):\d{4,5}\b", r"\1"),
)
"""What is another at every attempt, and what it becomes: a condition that says the same thing again must be the same text, or every start is a write."""

_SECRET: Final = (
    (r"\bhf_[A-Za-z0-9]{16,}", "***"),
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "***"),
    (r"(?i)\b(Bearer|Basic) [\w.~+/=-]{8,}", r"\1 ***"),
    (r"(?i)([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|sig|signature|token|key)=)[^&\s'\"]+", r"\1***"),
    (r"(://[^/\s:@]+:)[^/\s@]+@", r"\1***@"),
    (r"(?i)(--(?:api-key|hf-token)[ =])\S+", r"\1***"),
)
"""What looks like a key, wherever it comes from; the engine's own keys are given."""

_SET: Final = re.compile(r"\{('[^']*'(?:, '[^']*')+)\}")


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


def row_of(line: str) -> Pattern | None:
    """The first row of the table that an error line matches."""
    return next((row for row, pattern in _COMPILED if pattern.search(line)), None)


def classify(exit_code: int, lines: Sequence[str], secrets: Iterable[str] = (), *, kernel_kills: int = 0) -> Failure:
    """The failure of an engine that ended by itself: its code as waitpid tells it (negative: the signal), and the error lines of its output, oldest first.

    The first line that says what went wrong is the cause; the engine's processes then tell each other that something did. `kernel_kills` is how many processes
    of the container the kernel killed for want of memory meanwhile (kernel_memory.py): they say nothing any more, and what the others say follows from it.
    """
    telling = [line for line in lines if not _GENERIC.search(line)]
    found = next(_matches(telling), None)
    if kernel_kills and (found is None or found[0] in (Reason.ENGINE_DIED, Reason.COMMUNICATION_FAILED)):
        found = Reason.OUT_OF_MEMORY, f"the kernel killed {_count(kernel_kills)} of the engine at the container's memory limit", RAISE_MEMORY_LIMIT
    if found is None and not telling:
        found = next(_matches(lines), None)
    reason, message, remedy = found or _unknown(exit_code, telling or lines)
    message = steady(without_secrets(message, secrets))[:MESSAGE_CHARACTERS]
    return Failure(reason, message, steady(without_secrets(remedy, secrets)), container_exit_code(exit_code))


RAISE_MEMORY_LIMIT: Final = (
    "raise the memory limit of the engine's container in spec.template.spec, or lower spec.engine.kvCacheMemory, kvOffload or cpuOffload"
)
"""What to do where the kernel killed."""


def _unknown(exit_code: int, lines: Sequence[str]) -> tuple[Reason, str, str]:
    """Nothing that the table knows: what is told is the first error line, and what it means only the exit code says."""
    reason = Reason.ENGINE_DIED if exit_code <= 0 else Reason.INVALID_ARGUMENT if exit_code == 2 else Reason.ENGINE_FAILED
    if lines:
        return reason, lines[0], remedy_of(reason)
    ended = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    message = f"the engine ended by itself ({ended}) and said no reason"
    if exit_code == -9:
        return reason, f"{message}; the kernel kills so where the container's memory limit is exceeded", RAISE_MEMORY_LIMIT
    return reason, message, remedy_of(reason)


def steady(text: str) -> str:
    """The text without what is another at every attempt: process ids, addresses, times, ports, names of temporary files, the order of a set."""
    for pattern, instead in _CHANGING:
        text = re.sub(pattern, instead, text)
    return _SET.sub(lambda found: "{" + ", ".join(sorted(found[1].split(", "))) + "}", text)


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with *** in place of the given secrets, and of what looks like one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    for pattern, instead in _SECRET:
        text = re.sub(pattern, instead, text)
    return text


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
    while len(content := _encoded(failure, message, state)) > MESSAGE_BYTES and message:
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
                yield row.reason, groups.get("message", "") + groups.get("rest", "") or line, row.remedy.format_map(groups)


def _count(processes: int) -> str:
    return "a process" if processes == 1 else f"{processes} processes"
