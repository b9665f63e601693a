"""The NVIDIA devices of this container, as the driver's own library tells them in milliseconds; importing torch to ask takes seconds.

The library comes with the driver: NVIDIA's container toolkit mounts it next to the devices. Functions and figures: NVML API reference, nvml.h.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LIBRARY: Final = "libnvidia-ml.so.1"

PLACES: Final = ("/usr/local/nvidia/lib64", "/usr/lib/wsl/lib")
"""Where it is looked for when the loader does not find it: as GKE mounts it, under WSL."""

_SUCCESS: Final = 0
_NOT_SUPPORTED: Final = 3
_NO_PERMISSION: Final = 4
_NOT_FOUND: Final = 6
_UUID_BYTES: Final = 96
_NAME_BYTES: Final = 96


class NvmlError(Exception):
    """The library says no, in its own words."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device that CUDA can use: a GPU, or a MIG slice of one."""

    index: int
    """Of the GPU among those of this container."""
    uuid: str
    """As CUDA_VISIBLE_DEVICES may name it: GPU-... or MIG-..."""
    name: str
    capability: tuple[int, int]
    """Compute capability, as (8, 9)."""
    total_bytes: int | None
    """Memory that programs can have; None where the device has none of its own (it shares the host's)."""
    free_bytes: int | None


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _MemoryV2(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint),
        *((name, ctypes.c_ulonglong) for name in ("total", "reserved", "free", "used")),
    )


def load() -> Any:
    """The library; OSError where this container has none."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        for place in PLACES:
            if Path(place, LIBRARY).exists():
                return ctypes.CDLL(str(Path(place, LIBRARY)))
        raise


def devices(library: Any) -> list[Device]:
    """The devices that this container may use, in the order of CUDA's numbers (by bus); NvmlError where the driver does not answer."""
    _call(library, "nvmlInit_v2")
    try:
        count = ctypes.c_uint()
        _call(library, "nvmlDeviceGetCount_v2", ctypes.byref(count))
        return [device for index in range(count.value) for device in _of(library, index)]
    finally:
        library.nvmlShutdown()


def _of(library: Any, index: int) -> Iterator[Device]:
    """A GPU, or its slices where it is cut into some."""
    handle = ctypes.c_void_p()
    code = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))
    if code == _NO_PERMISSION:  # A device of another container.
        return
    _check(library, code)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _call(library, "nvmlDeviceGetCudaComputeCapability", handle, ctypes.byref(major), ctypes.byref(minor))
    for part in _slices(library, handle) or [handle]:
        total, free = _memory(library, part)
        yield Device(
            index,
            _text(library, "nvmlDeviceGetUUID", part, _UUID_BYTES),
            _text(library, "nvmlDeviceGetName", part, _NAME_BYTES),
            (major.value, minor.value),
            total,
            free,
        )


def _slices(library: Any, handle: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    current, pending, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
    if library.nvmlDeviceGetMigMode(handle, ctypes.byref(current), ctypes.byref(pending)) != _SUCCESS or not current.value:
        return []
    _call(library, "nvmlDeviceGetMaxMigDeviceCount", handle, ctypes.byref(most))
    found = []
    for index in range(most.value):
        part = ctypes.c_void_p()
        code = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, ctypes.c_uint(index), ctypes.byref(part))
        if code in (_NOT_FOUND, _NO_PERMISSION):
            continue
        _check(library, code)
        found.append(part)
    return found


def _memory(library: Any, handle: ctypes.c_void_p) -> tuple[int | None, int | None]:
    """Total and free. What the driver reserves is no program's: the newer call tells it apart, as CUDA does."""
    newer = _MemoryV2(version=ctypes.sizeof(_MemoryV2) | 2 << 24)
    if hasattr(library, "nvmlDeviceGetMemoryInfo_v2") and library.nvmlDeviceGetMemoryInfo_v2(handle, ctypes.byref(newer)) == _SUCCESS:
        return newer.total - newer.reserved, newer.free
    older = _Memory()
    code = library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(older))
    if code == _NOT_SUPPORTED:
        return None, None
    _check(library, code)
    return older.total, older.free


def _text(library: Any, function: str, handle: ctypes.c_void_p, length: int) -> str:
    buffer = ctypes.create_string_buffer(length)
    _call(library, function, handle, buffer, ctypes.c_uint(length))
    return buffer.value.decode(errors="replace")


def _call(library: Any, function: str, *arguments: Any) -> None:
    _check(library, getattr(library, function)(*arguments))


def _check(library: Any, code: int) -> None:
    if code == _SUCCESS:
        return
    words = library.nvmlErrorString
    words.restype = ctypes.c_char_p
    raise NvmlError(words(code).decode(errors="replace"))
