"""The vLLM versions that this operator knows, and what came and went between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llmfleet.vllm.catalogue import catalogue


class State(StrEnum):
    """What is known of a version under this operator."""

    WORKS = "works"
    """An engine of it was started by the launcher, answered, reported and drained; docs/versions.md says where. Taken without a word."""
    NOT_VERIFIED = "not verified"
    """No engine of it was started. Taken with a warning."""
    FAILS = "fails"
    """It is known not to work. Refused."""


VERSIONS: Final[Mapping[str, State]] = {
    "0.32.0": State.WORKS,
    "0.31.0": State.WORKS,
    "0.30.0": State.WORKS,
    "0.29.0": State.WORKS,
}
"""Newest first. A version is added by `make catalogue VLLM=...`, a line here and one in docs/versions.md."""

SUPPORTED: Final = tuple(version for version, state in VERSIONS.items() if state is not State.FAILS)
"""Those that a service may name, newest first."""

DEFAULT: Final = SUPPORTED[0]
"""What a service without engine.version runs."""

REMOVED: Final[Mapping[str, str]] = {
    "--task": "use --runner or --convert",
    "--swap-space": "remove it",
    "--device": "choose it by spec.accelerator.profile",
    "--guided-decoding-backend": "use --structured-outputs-config.backend",
    "--disable-log-requests": "remove it: requests are not logged by default",
    "--num-scheduler-steps": "remove it",
    "--rope-scaling": "use --hf-overrides",
    "--max-seq-len-to-capture": "use --max-cudagraph-capture-size",
    "--kv-ip": "use --kv-transfer-config",
    "--enable-mamba-fine-grained-prefix-cache": "use --enable-mamba-shared-prefix-checkpoint",
    "--enable-bf16x3-router-gemm": "remove it",
}
"""Flags that vLLM once had, and what took their place."""


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a flag that vLLM has in another version is not in this one."""

    rule: str
    remedy: str


def absent(flag: str, version: str) -> Absence | None:
    """Why a version lacks a flag that another has or had, by its full spelling; None if no version is known to have it."""
    if flag in catalogue(version).spellings:
        return None
    having = [other for other in VERSIONS if flag in catalogue(other).spellings]
    newer = [other for other in having if _order(other) > _order(version)]
    older = [other for other in having if _order(other) < _order(version)]
    if older:
        without = min((other for other in VERSIONS if _order(other) > _order(older[0])), key=_order)
        return Absence(f"no longer exists in vLLM, since {without}", REMOVED.get(flag, "remove it"))
    if newer:
        return Absence(
            f"exists only from vLLM {newer[-1]} on, and this service runs {version}", f"set spec.engine.version to {newer[-1]} or newer, or remove it"
        )
    if flag in REMOVED:
        return Absence(f"no longer exists in vLLM, since before {min(VERSIONS, key=_order)}", REMOVED[flag])
    return None


def state(version: str) -> State:
    """What is known of a version; of one that is not in the table, nothing."""
    return VERSIONS.get(version, State.NOT_VERIFIED)


def nearest(version: str) -> str:
    """The version whose catalogue serves for one that has none: the same, else the newest that is not newer, else the oldest."""
    if version in VERSIONS:
        return version
    return next((known for known in VERSIONS if _order(known) <= _order(version)), min(VERSIONS, key=_order))


def _order(version: str) -> tuple[int, ...]:
    """A version as numbers; what is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
