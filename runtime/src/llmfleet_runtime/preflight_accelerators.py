"""Whether the NVIDIA devices of this container are those that were asked for: their number, what they can do, and whether their memory is free."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from llmfleet_runtime import arguments, nvml
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings

BUSY_SECONDS: Final = 5.0
"""Longest wait for memory to become free: the driver gives back that of a container killed just before a moment after its last process is gone."""

LOOK_SECONDS: Final = 0.25
"""Between two looks at the memory."""

DEFAULT_UTILIZATION: Final = 0.92
"""vLLM's --gpu-memory-utilization (config/cache.py, 0.32)."""

JETSON: Final = (Path("/etc/nv_tegra_release"), Path("/sys/class/tegra-firmware"))
"""Jetson boards have no NVML; vLLM knows them by these (platforms/cuda.py)."""

MPS: Final = "CUDA_MPS_PIPE_DIRECTORY"
"""Set in containers that share a device through NVIDIA's MPS (its device plugin, GKE): CUDA then counts a container's share, and NVML the whole device."""

_GIB: Final = 1024**3

Read = Callable[[], Sequence[nvml.Device]]


def accelerators_are_as_asked(settings: Settings) -> Refusal | None:
    """Look at the devices of this container."""
    if not settings.accelerators or any(path.exists() for path in JETSON):
        return None
    try:
        library = nvml.load()
    except OSError:
        return _missing(settings, f"there is no driver in this container ({nvml.LIBRARY}), which the node's NVIDIA container toolkit mounts")
    return look(settings, library)


def look(settings: Settings, library: Any, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> Refusal | None:
    """The same, with the driver's library; waits a little for memory that is being given back."""
    wanted = settings.accelerators or 0
    until = clock() + BUSY_SECONDS
    while True:
        try:
            found = visible(nvml.devices(library), settings.environment)
        except nvml.NvmlError as error:
            return _missing(settings, f"the NVIDIA driver says: {error}")
        if len(found) < wanted:
            return _missing(settings, f"this container sees {len(found)}" + (f" ({_listed(found)})" if found else ""))
        used = found[:wanted]  # vLLM takes the first ones.
        if (refusal := _unable(used, settings.minimum_capability)) is not None:
            return refusal
        if settings.environment.get(MPS) or (refusal := _busy(used, settings.command)) is None:
            return None
        if clock() >= until:
            return refusal
        sleep(LOOK_SECONDS)


def visible(devices: Sequence[nvml.Device], environment: Mapping[str, str]) -> list[nvml.Device]:
    """Those that CUDA shows to programs: CUDA_VISIBLE_DEVICES names them by number or by the beginning of the UUID, up to the first that is none.

    NVML itself does not look at the variable (CUDA programming guide, environment variables).
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(devices)
    found: list[nvml.Device] = []
    for word in (part.strip() for part in named.split(",")):
        matches = [device for device in devices if _is_named(device, word)]
        if not matches:
            break
        found += matches
    return found


def _is_named(device: nvml.Device, word: str) -> bool:
    return device.index == int(word) if word.isdigit() else word != "" and device.uuid.startswith(word)


def _missing(settings: Settings, found: str) -> Refusal:
    message = f"{_counted(settings.accelerators or 0)} asked for, and {found}"
    for name in ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        # The device plugin sets the first one itself, with the ids of what it gives; only these values hide devices.
        if (value := settings.environment.get(name)) is not None and (name.startswith("CUDA") or value in ("", "none", "void")):
            return Refusal(Reason.ACCELERATOR_MISSING, f"{message}; {name} is {value!r}", f"take {name} out of the environment (spec.engine.env, the image's)")
    return Refusal(Reason.ACCELERATOR_MISSING, message)


def _unable(devices: Sequence[nvml.Device], minimum: tuple[int, int] | None) -> Refusal | None:
    for device in devices:
        if minimum is not None and device.capability < minimum:
            return Refusal(
                Reason.ACCELERATOR_UNSUPPORTED,
                f"{device.name} has compute capability {_dotted(device.capability)}, and what is asked needs at least {_dotted(minimum)}",
            )
    return None


def _busy(devices: Sequence[nvml.Device], command: Sequence[str]) -> Refusal | None:
    """The rule of vLLM itself (request_memory in v1/worker/utils.py), before its context takes some more: what we refuse it would refuse."""
    text = arguments.value(command, "--gpu-memory-utilization")
    try:
        utilization = DEFAULT_UTILIZATION if text is None else float(text)
    except ValueError:  # vLLM says so better.
        return None
    for device in devices:
        if device.total_bytes is None or device.free_bytes is None:
            continue
        wanted = device.total_bytes * utilization
        if device.free_bytes < wanted:
            return Refusal(
                Reason.ACCELERATOR_BUSY,
                f"{device.free_bytes / _GIB:.2f} of {device.total_bytes / _GIB:.2f} GiB of {device.name} (GPU {device.index}) are free, and "
                f"--gpu-memory-utilization {utilization:g} asks for {wanted / _GIB:.2f} GiB: another process has the rest",
            )
    return None


def _listed(devices: Sequence[nvml.Device]) -> str:
    return ", ".join(f"GPU {device.index}: {device.name}" for device in devices)


def _counted(number: int) -> str:
    return f"{number} accelerators are" if number != 1 else "1 accelerator is"


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
