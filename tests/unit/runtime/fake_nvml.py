"""NVIDIA's libnvidia-ml.so.1 as ctypes calls it: functions that write through pointers and return a code."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

GIB = 1024**3
SUCCESS, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 0, 3, 4, 6


@dataclass
class Gpu:
    """One device of the node."""

    name: str = "NVIDIA L4"
    uuid: str = "GPU-0000"
    capability: tuple[int, int] = (8, 9)
    total_bytes: int = 24 * GIB
    reserved_bytes: int = 1 * GIB
    free_bytes: int = 23 * GIB
    slices: list[Gpu] = field(default_factory=list)
    """MIG devices; there is room for seven."""
    permitted: bool = True
    has_memory: bool = True


class _Words:
    """The function that names an error."""

    restype: Any = None

    def __call__(self, code: int) -> bytes:
        return {9: b"Driver Not Loaded", 15: b"GPU is lost", 18: b"Driver/library version mismatch"}[code]


class FakeNvml:
    """A driver with these devices."""

    def __init__(self, *gpus: Gpu, init: int = SUCCESS, version_2: bool = True, lost: bool = False) -> None:
        self.gpus = list(gpus)
        self.looks = 0
        self.on_look: Callable[[], None] = lambda: None
        """Called at the beginning of each look."""
        self._init = init
        self._lost = lost
        self._handles: dict[int, Gpu] = {}
        self.nvmlErrorString = _Words()
        if version_2:
            self.nvmlDeviceGetMemoryInfo_v2 = self._memory_2

    def nvmlInit_v2(self) -> int:  # noqa: N802
        self.looks += 1
        self.on_look()
        return self._init

    def nvmlShutdown(self) -> int:  # noqa: N802
        return SUCCESS

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.gpus)
        return SUCCESS

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, handle: Any) -> int:  # noqa: N802
        if not self.gpus[index.value].permitted:
            return NO_PERMISSION
        return self._give(self.gpus[index.value], handle)

    def nvmlDeviceGetCudaComputeCapability(self, handle: ctypes.c_void_p, major: Any, minor: Any) -> int:  # noqa: N802
        if self._lost:
            return 15
        major._obj.value, minor._obj.value = self._of(handle).capability
        return SUCCESS

    def nvmlDeviceGetMigMode(self, handle: ctypes.c_void_p, current: Any, pending: Any) -> int:  # noqa: N802
        if not self._of(handle).slices:
            return NOT_SUPPORTED
        current._obj.value = pending._obj.value = 1
        return SUCCESS

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: ctypes.c_void_p, most: Any) -> int:  # noqa: N802
        most._obj.value = 7
        return SUCCESS

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: ctypes.c_void_p, index: ctypes.c_uint, part: Any) -> int:  # noqa: N802
        slices = self._of(handle).slices
        return self._give(slices[index.value], part) if index.value < len(slices) else NOT_FOUND

    def nvmlDeviceGetUUID(self, handle: ctypes.c_void_p, buffer: Any, length: ctypes.c_uint) -> int:  # noqa: N802
        buffer.value = self._of(handle).uuid.encode()
        return SUCCESS

    def nvmlDeviceGetName(self, handle: ctypes.c_void_p, buffer: Any, length: ctypes.c_uint) -> int:  # noqa: N802
        buffer.value = self._of(handle).name.encode()
        return SUCCESS

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:  # noqa: N802
        gpu = self._of(handle)
        if not gpu.has_memory:
            return NOT_SUPPORTED
        memory._obj.total, memory._obj.free = gpu.total_bytes, gpu.free_bytes
        return SUCCESS

    def _memory_2(self, handle: ctypes.c_void_p, memory: Any) -> int:
        gpu = self._of(handle)
        if not gpu.has_memory:
            return NOT_SUPPORTED
        assert memory._obj.version == ctypes.sizeof(memory._obj) | 2 << 24
        memory._obj.total, memory._obj.reserved, memory._obj.free = gpu.total_bytes, gpu.reserved_bytes, gpu.free_bytes
        return SUCCESS

    def _give(self, gpu: Gpu, handle: Any) -> int:
        handle._obj.value = id(gpu)
        self._handles[id(gpu)] = gpu
        return SUCCESS

    def _of(self, handle: ctypes.c_void_p) -> Gpu:
        assert handle.value is not None
        return self._handles[handle.value]
