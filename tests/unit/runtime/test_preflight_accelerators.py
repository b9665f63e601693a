from typing import Any

import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_accelerators import BUSY_SECONDS, accelerators_are_as_asked, look
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings
from tests.unit.runtime.clock import Clock
from tests.unit.runtime.fake_nvml import GIB, FakeNvml, Gpu

TWO = (Gpu(uuid="GPU-a1"), Gpu(uuid="GPU-b2", name="NVIDIA T4", capability=(7, 5)))


def settings(*arguments: str, **options: Any) -> Settings:
    return Settings(command=("vllm", "serve", "/m", *arguments), **{"accelerators": 1, **options})


def looked(library: FakeNvml, given: Settings, clock: Clock | None = None) -> Refusal | None:
    """Look with a clock that passes only by waiting."""
    clock = clock or Clock(0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    return look(given, library, clock=clock, sleep=sleep)


# --- Their number ------------------------------------------------------------------------------------------------------


def test_as_many_as_asked_is_enough_and_more_do_no_harm() -> None:
    assert looked(FakeNvml(*TWO), settings(accelerators=2)) is None
    assert looked(FakeNvml(*TWO), settings(accelerators=1)) is None


def test_fewer_than_asked_are_told_with_what_is_seen() -> None:
    refusal = looked(FakeNvml(Gpu()), settings(accelerators=2))
    assert refusal == Refusal(Reason.ACCELERATOR_MISSING, "2 accelerators are asked for, and this container sees 1 (GPU 0: NVIDIA L4)")


def test_none_at_all_is_told() -> None:
    refusal = looked(FakeNvml(), settings())
    assert refusal == Refusal(Reason.ACCELERATOR_MISSING, "1 accelerator is asked for, and this container sees 0")


def test_a_driver_that_does_not_answer_is_told_in_its_words() -> None:
    refusal = looked(FakeNvml(init=9), settings())
    assert refusal == Refusal(Reason.ACCELERATOR_MISSING, "1 accelerator is asked for, and the NVIDIA driver says: Driver Not Loaded")


def test_nobody_looks_where_none_is_asked_for() -> None:
    assert accelerators_are_as_asked(settings(accelerators=None)) is None


@pytest.mark.parametrize(("visible", "enough"), [("0,1", True), ("GPU-b2,GPU-a1", True), ("1", False), ("0,7,1", False), ("", False), ("GPU-c3", False)])
def test_only_devices_that_cuda_shows_count(visible: str, enough: bool) -> None:
    refusal = looked(FakeNvml(*TWO), settings(accelerators=2, environment={"CUDA_VISIBLE_DEVICES": visible}))
    if enough:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.reason is Reason.ACCELERATOR_MISSING
        assert f"CUDA_VISIBLE_DEVICES is {visible!r}" in refusal.message
        assert "CUDA_VISIBLE_DEVICES" in refusal.remedy


@pytest.mark.parametrize("value", ["void", "none", ""])
def test_a_variable_that_keeps_devices_out_of_the_container_is_named(value: str) -> None:
    refusal = looked(FakeNvml(), settings(environment={"NVIDIA_VISIBLE_DEVICES": value}))
    assert refusal is not None
    assert f"NVIDIA_VISIBLE_DEVICES is {value!r}" in refusal.message


def test_what_the_device_plugin_sets_is_not_blamed() -> None:
    refusal = looked(FakeNvml(), settings(environment={"NVIDIA_VISIBLE_DEVICES": "GPU-a1"}))
    assert refusal == Refusal(Reason.ACCELERATOR_MISSING, "1 accelerator is asked for, and this container sees 0")


# --- What they can do --------------------------------------------------------------------------------------------------


def test_a_device_below_the_lowest_capability_is_refused() -> None:
    refusal = looked(FakeNvml(*TWO), settings(accelerators=2, minimum_capability=(8, 0)))
    assert refusal == Refusal(Reason.ACCELERATOR_UNSUPPORTED, "NVIDIA T4 has compute capability 7.5, and what is asked needs at least 8.0")


@pytest.mark.parametrize("minimum", [None, (7, 5), (8, 9)])
def test_a_device_at_or_above_it_is_not(minimum: tuple[int, int] | None) -> None:
    assert looked(FakeNvml(*TWO), settings(minimum_capability=minimum)) is None


def test_a_device_that_the_engine_does_not_take_need_not_do() -> None:
    assert looked(FakeNvml(*TWO), settings(accelerators=1, minimum_capability=(8, 0))) is None


def test_capabilities_are_compared_as_numbers() -> None:
    assert looked(FakeNvml(Gpu(capability=(10, 0))), settings(minimum_capability=(9, 0))) is None


# --- Their memory ------------------------------------------------------------------------------------------------------


def test_memory_that_another_process_has_is_told() -> None:
    refusal = looked(FakeNvml(Gpu(free_bytes=10 * GIB)), settings("--gpu-memory-utilization", "0.9"))
    assert refusal == Refusal(
        Reason.ACCELERATOR_BUSY,
        "10.00 of 23.00 GiB of NVIDIA L4 (GPU 0) are free, and --gpu-memory-utilization 0.9 asks for 20.70 GiB: another process has the rest",
    )


@pytest.mark.parametrize("arguments", [("--gpu-memory-utilization=0.4",), ("--gpu_memory_utilization", "0.4")])
def test_who_asks_for_less_than_is_free_gets_it(arguments: tuple[str, ...]) -> None:
    assert looked(FakeNvml(Gpu(free_bytes=10 * GIB)), settings(*arguments)) is None


def test_without_a_share_it_is_vllm_s_own() -> None:
    assert looked(FakeNvml(Gpu(free_bytes=int(0.93 * 23 * GIB))), settings()) is None
    refusal = looked(FakeNvml(Gpu(free_bytes=int(0.91 * 23 * GIB))), settings())
    assert refusal is not None
    assert "--gpu-memory-utilization 0.92" in refusal.message


def test_a_share_of_a_device_is_not_measured_by_the_whole_device() -> None:
    """Under MPS the driver's library shows what all who share the device have, and CUDA the share that vLLM reckons with."""
    library = FakeNvml(Gpu(free_bytes=10 * GIB, capability=(7, 5)))
    shared = {"CUDA_MPS_PIPE_DIRECTORY": "/mps/nvidia.com/gpu/pipe"}
    assert looked(library, settings(environment=shared)) is None
    assert looked(library, settings(environment=shared, minimum_capability=(8, 0))) is not None


def test_memory_that_is_being_given_back_is_waited_for() -> None:
    library = FakeNvml(Gpu(free_bytes=0))

    def given_back() -> None:
        if library.looks == 4:
            library.gpus[0].free_bytes = 23 * GIB

    library.on_look = given_back
    assert looked(library, settings()) is None
    assert library.looks == 4


def test_it_is_not_waited_for_longer_than_some_seconds() -> None:
    clock = Clock(0.0)
    assert looked(FakeNvml(Gpu(free_bytes=0)), settings(), clock) is not None
    assert clock.now == pytest.approx(BUSY_SECONDS, abs=0.5)


def test_memory_that_is_the_host_s_is_not_looked_at() -> None:
    assert looked(FakeNvml(Gpu(has_memory=False)), settings()) is None


def test_a_share_that_is_no_number_is_left_to_vllm() -> None:
    assert looked(FakeNvml(Gpu(free_bytes=0)), settings("--gpu-memory-utilization=much")) is None
