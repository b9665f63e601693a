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


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e308", "2e9", "many", ""])
def test_what_is_no_number_of_requests_is_refused(value: str) -> None:
    with pytest.raises(MalformedMetricsError, match="not a number of requests"):
        parse(f"vllm:num_requests_waiting {value}\nvllm:num_requests_running 1\n")


GAUGE = "# TYPE llmfleet:requests_in_flight gauge\nllmfleet:requests_in_flight {}\n"


def test_requests_that_are_being_tokenised_count() -> None:
    """vLLM does not know of them yet (facts: its gauges begin after the tokenizer)."""
    assert parse(PAGE + GAUGE.format("100.0")) == Queue(waiting=56, running=15, arriving=29)


def test_one_request_with_many_prompts_counts_as_vllm_counts_it() -> None:
    assert parse(PAGE + GAUGE.format("1.0")) == Queue(waiting=56, running=15, arriving=0)


def test_the_processes_of_an_api_server_are_summed() -> None:
    pages = 'llmfleet:requests_in_flight{pid="7"} 40.0\nllmfleet:requests_in_flight{pid="8"} 41.0\n'
    assert parse(PAGE + pages).arriving == 10


def test_without_the_runtimes_gauge_it_is_as_vllm_says() -> None:
    assert parse(PAGE).arriving == 0


def test_a_hostile_gauge_is_refused_with_its_page() -> None:
    with pytest.raises(MalformedMetricsError, match="not a number of requests: llmfleet:requests_in_flight"):
        parse(PAGE + GAUGE.format("NaN"))


def test_requests_for_an_adapter_count() -> None:
    """The page of vLLM 0.32 with our middleware, two sequences at once and eight requests for the adapter `sql`: they are booked on the model's name."""
    page = """\
llmfleet:requests_in_flight 8.0
vllm:num_requests_running{engine="0",model_name="tiny"} 2.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 6.0
vllm:lora_requests_info{max_lora="1",running_lora_adapters="sql",waiting_lora_adapters="sql"} 1.7952797909296587e+09
"""
    assert parse(page) == Queue(waiting=6, running=2, arriving=0)
    tokenised = page.replace(" 2.0", " 0.0").replace(" 6.0", " 0.0")
    assert parse(tokenised) == Queue(waiting=0, running=0, arriving=8), "so it was half a second after they came"
