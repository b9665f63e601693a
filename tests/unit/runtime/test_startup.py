import pytest

from llmfleet_runtime.startup import BOUNDARIES, Boundary, Duration, Phase, StartUp
from tests.unit.runtime.clock import Clock

CPU = (  # Seconds and lines of a start with compilation on a CPU; vLLM 0.32 as logged.
    (33, "(Worker pid=8018) INFO 11-21 16:05:51 [cpu_model_runner.py:68] Starting to load model /models/tiny..."),
    (0, "(Worker pid=8018) INFO 11-21 16:05:51 [base_loader.py:82] Initializing model took 0.254757 seconds"),
    (0, "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 189.58it/s]"),
    (1, "(Worker pid=8018) INFO 11-21 16:05:51 [default_loader.py:501] Loading weights took 0.01 seconds"),
    (1, "(Worker pid=8018) INFO 11-21 16:05:52 [cpu_model_runner.py:87] Warming up model for the compilation..."),
    (37, "(Worker pid=8018) INFO 11-21 16:06:29 [cpu_model_runner.py:91] Warming up done."),
    (2, "(EngineCore pid=7961) INFO 11-21 16:06:29 [core.py:402] init engine (profile, create kv cache, warmup model) took 36.99 s"),
)

GPU = (  # The order of gpu_worker.py and gpu_model_runner.py, two ranks.
    (30, "(Worker_TP0 pid=8) INFO 11-21 09:00:30 [gpu_model_runner.py:5040] Starting to load model /models/large..."),
    (60, "(Worker_TP0 pid=8) INFO 11-21 09:01:30 [gpu_model_runner.py:5150] Model loading took 14.25 GiB memory and 60.123456 seconds"),
    (5, "(Worker_TP1 pid=9) INFO 11-21 09:01:35 [gpu_model_runner.py:5150] Model loading took 14.25 GiB memory and 65.123456 seconds"),
    (1, "(Worker_TP0 pid=8) INFO 11-21 09:01:36 [monitor.py:40] Starting torch.compile"),
    (2, "(Worker_TP0 pid=8) INFO 11-21 09:01:38 [backends.py:1105] Using cache directory: /c/torch_compile_cache/a for vLLM's torch.compile"),
    (40, "(Worker_TP0 pid=8) INFO 11-21 09:02:18 [monitor.py:66] torch.compile took 42.00 s in total"),
    (3, "(Worker_TP0 pid=8) INFO 11-21 09:02:21 [gpu_worker.py:760] Available KV cache memory: 45.5 GiB"),
    (1, "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):   0%|          | 0/51 [00:00<?, ?it/s]"),
    (10, "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|##########| 51/51 [00:10<00:00, 5.1it/s]"),
    (1, "(Worker_TP0 pid=8) INFO 11-21 09:02:33 [gpu_model_runner.py:6582] Graph capturing finished in 11 secs, took 0.50 GiB"),
    (4, "(EngineCore pid=7) INFO 11-21 09:02:37 [core.py:402] init engine (profile, create kv cache, warmup model) took 61.00 s (compilation: 42.00 s)"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def start_up(clock: Clock) -> StartUp:
    """One whose engine has just been started, after a preflight of a second."""
    start_up = StartUp(clock)
    clock.now += 1
    start_up.engine_started()
    return start_up


def fed(start_up: StartUp, clock: Clock, lines: tuple[tuple[int, str], ...]) -> dict[str, float]:
    for seconds, line in lines:
        clock.now += seconds
        start_up.feed(line)
    clock.now += 2
    start_up.engine_listens()
    clock.now += 1
    start_up.ended()
    return {duration.phase.value: duration.seconds for duration in start_up.durations()}


def test_the_time_of_a_start_on_a_cpu_is_told_by_its_log(start_up: StartUp, clock: Clock) -> None:
    assert fed(start_up, clock, CPU) == {"Preflight": 1, "Imports": 33, "Weights": 1, "KVCache": 3, "Compilation": 37, "Warming": 3}


def test_the_time_of_a_start_on_gpus_is_told_and_the_slowest_rank_decides(start_up: StartUp, clock: Clock) -> None:
    times = {"Preflight": 1, "Imports": 30, "Weights": 65, "KVCache": 5, "Compilation": 42, "Graphs": 11, "Warming": 7}
    assert fed(start_up, clock, GPU) == times
    assert sum(times.values()) == clock.now


@pytest.mark.parametrize("row", BOUNDARIES, ids=lambda row: row.began)
def test_every_boundary_is_found_in_its_own_line(start_up: StartUp, row: Boundary) -> None:
    start_up.feed(row.example)
    assert start_up.phase is row.began


@pytest.mark.parametrize("line", ["INFO 11-21 09:00:00 [x.py:1] hello", "(APIServer pid=7) INFO: Application startup complete."])
def test_other_lines_begin_nothing(start_up: StartUp, line: str) -> None:
    start_up.feed(line)
    assert start_up.phase is Phase.IMPORTS


def test_a_phase_under_way_counts_until_now(start_up: StartUp, clock: Clock) -> None:
    start_up.feed(CPU[0][1])
    clock.now += 500
    assert start_up.present() == Duration(Phase.WEIGHTS, 500)
    assert start_up.durations()[-1] == start_up.present()


def test_what_is_written_after_the_start_belongs_to_no_phase(start_up: StartUp, clock: Clock) -> None:
    start_up.ended()
    before = start_up.durations()
    clock.now += 100
    start_up.feed(CPU[0][1])
    start_up.engine_listens()
    assert start_up.durations() == before
