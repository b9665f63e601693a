from llmfleet_runtime.metrics import CACHE, RUNNING, STEPS, WAITING, parse, path, total

PAGE = """\
# HELP vllm:num_requests_running Number of requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b"} 3.0
vllm:num_requests_running{engine="1",model_name="a } b"} 4.0
vllm:num_requests_waiting{engine="0"} NaN
vllm:iteration_tokens_total_count{engine="0"} 1.5e+03
vllm:cache_config_info{block_size="128",num_gpu_blocks="1024",note="say \\"hi\\""} 1.0
broken line without a number
"""


def test_gauges_are_summed_over_data_parallel_ranks() -> None:
    samples = list(parse(PAGE))
    assert total(samples, RUNNING) == 7
    assert total(samples, STEPS) == 1500


def test_nothing_known_is_not_nothing() -> None:
    samples = list(parse(PAGE))
    assert total(samples, WAITING) is None
    assert total(samples, "vllm:absent") is None


def test_labels_are_read_with_their_escapes() -> None:
    (cache,) = [sample for sample in parse(PAGE) if sample.name == CACHE]
    assert cache.labels == {"block_size": "128", "num_gpu_blocks": "1024", "note": 'say \\"hi\\"'}


def test_vllm_filters_only_with_a_slash_before_the_question_mark() -> None:
    assert path(RUNNING, WAITING) == "/metrics/?name[]=vllm:num_requests_running&name[]=vllm:num_requests_waiting"
