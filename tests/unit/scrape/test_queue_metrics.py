import pytest

from llmfleet.scrape.queue_metrics import MalformedMetricsError, Queue, parse

# As vLLM 0.32 answers, two data-parallel engines.
PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-0.6B"} 8.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-0.6B"} 7.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-0.6B"} 56.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-0.6B"} 0.0
"""


def test_both_gauges_are_summed_over_the_engines() -> None:
    assert parse(PAGE) == Queue(waiting=56, running=15)


def test_other_metrics_are_passed_over() -> None:
    assert parse(PAGE + 'vllm:num_requests_waiting_by_reason{reason="capacity"} 56.0\nhttp_requests_total 9\n\nnonsense\n') == Queue(56, 15)


def test_labels_may_hold_anything() -> None:
    page = 'vllm:num_requests_waiting{model_name="a} 7 {\\"b\\""} 3.0 1700000000000\nvllm:num_requests_running 1\n'
    assert parse(page) == Queue(waiting=3, running=1)


def test_a_gauge_that_is_absent_is_not_zero() -> None:
    with pytest.raises(MalformedMetricsError, match="no vllm:num_requests_running"):
        parse('vllm:num_requests_waiting{engine="0"} 1.0\n')
    with pytest.raises(MalformedMetricsError, match="no vllm:num_requests_waiting"):
        parse("")


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "many", ""])
def test_what_is_no_number_of_requests_is_refused(value: str) -> None:
    with pytest.raises(MalformedMetricsError, match="not a number of requests"):
        parse(f"vllm:num_requests_waiting {value}\nvllm:num_requests_running 1\n")
