"""Whether the engine can write where it writes, and whether its processes have room to talk to each other."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from llmfleet_runtime import arguments
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings

FULL_BYTES: Final = 16 * 1024**2
"""Less free than this is full: a start writes at least 4 MiB of caches of its own (0.32, a model of two layers, measured), one with compilation hundreds."""

MESSAGE_QUEUE_MIB: Final = 160
"""Of one queue to all ranks: 10 chunks of VLLM_MQ_MAX_CHUNK_BYTES_MB (v1/executor/multiproc_executor.py, 0.32)."""

ANSWER_QUEUE_MIB: Final = 240
"""Of each rank's queue back: 10 chunks of 24 MiB (distributed/device_communicators/shm_broadcast.py, 0.32)."""

_MIB: Final = 1024**2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def directories_are_writable(settings: Settings) -> Refusal | None:
    """Whether vLLM can keep caches and settings below HOME, its compiled code in VLLM_CACHE_ROOT, sockets and scratch files in the temporary directory."""
    for name, path in _directories(settings.environment, arguments.model(settings.command) or "/"):
        if (refusal := _refused(name, path)) is not None:
            return refusal
    return None


def shared_memory_suffices(settings: Settings) -> Refusal | None:
    """The queues between the processes of an engine; one alone on an NVIDIA device has none (config/parallel.py, 0.32: executor `uni`)."""
    directory = settings.shared_memory
    ranks = _ranks(settings)
    if directory is None or not directory.is_dir() or (ranks == 1 and settings.accelerators):
        return None
    need_mib = MESSAGE_QUEUE_MIB + ANSWER_QUEUE_MIB * ranks
    free_mib = shutil.disk_usage(directory).free // _MIB
    if free_mib >= need_mib:
        return None
    of_ranks = f"{ranks} ranks need" if ranks > 1 else "the engine needs"
    return Refusal(Reason.SHARED_MEMORY_TOO_SMALL, f"{directory} has {free_mib} MiB free, and the message queues of {of_ranks} {need_mib} MiB")


def _directories(environment: Mapping[str, str], model: str) -> list[tuple[str, Path]]:
    named = [("HOME", environment.get("HOME")), ("TMPDIR", environment.get("TMPDIR") or tempfile.gettempdir())]
    named.append(("VLLM_CACHE_ROOT", environment.get("VLLM_CACHE_ROOT")))
    hub, offline = environment.get("HF_HOME"), environment.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
    if hub and not model.startswith("/") and not offline and not Path(hub, "hub", f"models--{model.replace('/', '--')}").exists():
        named.append(("HF_HOME", hub))  # A cache that has the model is only read, and may be read-only.
    return [(name, Path(value)) for name, value in named if value]


def _refused(name: str, path: Path) -> Refusal | None:
    """Try it: permission bits do not tell of read-only volumes, quotas and other owners."""
    place = next(parent for parent in (path, *path.parents) if parent.exists())  # What is not there yet, vLLM makes.
    what = f"{path} ({name})"
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(4096))
            probe.flush()
            os.fsync(probe.fileno())
        usage = os.statvfs(place)
    except OSError as error:
        if error.errno in _FULL:
            return Refusal(Reason.DISK_FULL, f"the volume of {what} is full")
        return Refusal(Reason.NOT_WRITABLE, f"the engine cannot write to {what}: {error.strerror}")
    free_bytes = usage.f_bavail * usage.f_frsize
    if usage.f_blocks and free_bytes < FULL_BYTES:  # Some network file systems do not count blocks.
        return Refusal(Reason.DISK_FULL, f"the volume of {what} has {free_bytes // _MIB} MiB free")
    return None


def _ranks(settings: Settings) -> int:
    """Processes of the engine that compute in this pod; each data-parallel rank has an executor of its own."""
    if settings.accelerators:
        return settings.accelerators
    ranks = 1
    for spellings in (("--tensor-parallel-size", "-tp"), ("--pipeline-parallel-size", "-pp"), ("--data-parallel-size", "-dp")):
        text = arguments.value(settings.command, *spellings)
        ranks *= int(text) if text is not None and text.isdigit() else 1
    return ranks
