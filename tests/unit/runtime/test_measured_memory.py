import pytest

from llmfleet_runtime.measured_memory import MeasuredMemory, Memory

GIB = 1024**3
LOG = "(EngineCore pid=7) INFO 11-21 09:00:00 [gpu_worker.py:759] "


def read(*lines: str) -> Memory:
    measured = MeasuredMemory()
    for line in lines:
        measured.feed(LOG + line)
    return measured.memory


@pytest.mark.parametrize(
    ("line", "memory"),
    [
        ("Model loading took 14.25 GiB memory and 3.123456 seconds", Memory(weights_bytes=round(14.25 * GIB))),
        ("Model loading took 0.0 GiB memory and 0.5 seconds", Memory(weights_bytes=0)),
        ("Available KV cache memory: 45.5 GiB", Memory(kv_cache_bytes=round(45.5 * GIB))),
        (
            "Initial free memory 78.5 GiB, reserved 20.0 GiB memory for KV Cache as specified by kv_cache_memory_bytes config and skipped memory profiling.",
            Memory(kv_cache_bytes=20 * GIB),
        ),
        ("Graph capturing finished in 21 secs, took 0.50 GiB", Memory(graphs_bytes=GIB // 2)),
        ("GPU KV cache size: 1,024,512 tokens, Maximum concurrency for 8,192 tokens per request: 125.06x", Memory(concurrency=125.06)),
        ("Maximum concurrency for 8,192 tokens per request: 125.06x", Memory(concurrency=125.06)),
        ("Estimated CUDA graph memory: 0.4 GiB total", Memory()),
        ("Available KV cache memory: -3.1 GiB", Memory()),
    ],
)
def test_the_lines_of_the_log_are_read(line: str, memory: Memory) -> None:
    assert read(line) == memory


def test_of_several_ranks_the_one_with_the_least_room_counts() -> None:
    memory = read(
        "Model loading took 3.0 GiB memory and 1.0 seconds",
        "Model loading took 4.0 GiB memory and 1.0 seconds",
        "Available KV cache memory: 9.0 GiB",
        "Available KV cache memory: 8.0 GiB",
        "Available KV cache memory: 9.5 GiB",
    )
    assert memory == Memory(weights_bytes=4 * GIB, kv_cache_bytes=8 * GIB)


def test_a_serving_engine_measures_nothing_more() -> None:
    measured = MeasuredMemory()
    measured.serving()
    measured.feed("Model loading took 3.0 GiB memory and 1.0 seconds")
    assert measured.memory == Memory()
