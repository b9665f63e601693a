import pytest

from llmfleet_runtime.nvml import Device, NvmlError, devices
from tests.unit.runtime.fake_nvml import GIB, FakeNvml, Gpu


def test_a_device_is_told_with_the_memory_that_programs_can_have() -> None:
    assert devices(FakeNvml(Gpu())) == [Device(0, "GPU-0000", "NVIDIA L4", (8, 9), 23 * GIB, 23 * GIB)]


def test_an_older_driver_counts_its_own_memory_too() -> None:
    assert devices(FakeNvml(Gpu(), version_2=False))[0].total_bytes == 24 * GIB


@pytest.mark.parametrize("version_2", [True, False])
def test_a_device_without_memory_of_its_own_has_none(version_2: bool) -> None:
    (device,) = devices(FakeNvml(Gpu(has_memory=False), version_2=version_2))
    assert (device.total_bytes, device.free_bytes) == (None, None)


def test_a_gpu_that_is_cut_into_slices_is_its_slices() -> None:
    slices = [Gpu(name="H100 MIG 3g.40gb", uuid=f"MIG-{number}", total_bytes=40 * GIB) for number in range(2)]
    found = devices(FakeNvml(Gpu(name="H100", capability=(9, 0), slices=slices)))
    assert [(device.index, device.uuid, device.capability, device.total_bytes) for device in found] == [
        (0, "MIG-0", (9, 0), 39 * GIB),
        (0, "MIG-1", (9, 0), 39 * GIB),
    ]


def test_a_device_of_another_container_is_passed_over() -> None:
    found = devices(FakeNvml(Gpu(permitted=False), Gpu(uuid="GPU-1")))
    assert [(device.index, device.uuid) for device in found] == [(1, "GPU-1")]


def test_a_driver_that_refuses_is_told_in_its_own_words() -> None:
    with pytest.raises(NvmlError, match="Driver/library version mismatch"):
        devices(FakeNvml(Gpu(), init=18))
    with pytest.raises(NvmlError, match="GPU is lost"):
        devices(FakeNvml(Gpu(), lost=True))
