import pytest

from llmfleet_runtime.arguments import api_key, max_sequences, model, redacted, secrets, value


@pytest.mark.parametrize(
    ("arguments", "sequences"),
    [
        ("--max-num-seqs 8", 8),
        ("--max-num-seqs=8", 8),
        ("--max_num_seqs 8", 8),
        ("--max_num_seqs=8", 8),
        ("--max-num-se 8", 8),
        ("--max-num-seqs 8 --max-num-seqs=16", 16),
        ("--max-num-seqs 8 -tp 2", 8),
        ("-tp 2 --max-num-batched-tokens 2048", None),
        ("--max-num-s 8", None),
        ("--max-num-seqs many", None),
        ("", None),
    ],
)
def test_the_number_of_sequences_is_read_in_every_spelling_of_vllm(arguments: str, sequences: int | None) -> None:
    assert max_sequences(["vllm", "serve", "m", *arguments.split()]) == sequences


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("--api-key sk-1 sk-2 --port 8000", "--api-key *** *** --port 8000"),
        ("--api-key=sk-1 -tp 2", "--api-key=*** -tp 2"),
        ("--api_key sk-1", "--api_key ***"),
        ("--api-key sk-1 -Xk3y9aZ --Yk3y9aZ -tp 2", "--api-key *** *** *** -tp 2"),
        ("--api-key sk-1 -cc.mode=3 -O3 -dp=2 --compilation-config.custom_ops none", "--api-key *** -cc.mode=3 -O3 -dp=2 --compilation-config.custom_ops none"),
        ("--api-k sk-1", "--api-k ***"),
        ("--hf-token hf_x m", "--hf-token *** ***"),
        ("--hf_token=hf_x", "--hf_token=***"),
        ("--api-server-count 2 --max-num-seqs -1", "--api-server-count 2 --max-num-seqs -1"),
        ('--kv-transfer-config {"token":"abc","kv_port":1}', '--kv-transfer-config {"token":"***","kv_port":1}'),
        ('--model-loader-extra-config={"aws_secret_access_key":"abc"}', '--model-loader-extra-config={"aws_secret_access_key":"***"}'),
        ("--model-loader-extra-config.access_key abc", "--model-loader-extra-config.access_key ***"),
        ('--watermark-config {"key":1234567,"alpha":0.2}', '--watermark-config {"key":"***","alpha":0.2}'),
        ("--otlp-traces-endpoint https://me:pass@host/v1", "--otlp-traces-endpoint https://me:***@host/v1"),
        ('--speculative-config {"num_speculative_tokens":3}', '--speculative-config {"num_speculative_tokens":3}'),
    ],
)
def test_secrets_are_hidden_and_everything_else_is_shown(arguments: str, shown: str) -> None:
    assert redacted(["vllm", "serve", "m", *arguments.split()]) == ["vllm", "serve", "m", *shown.split()]


def test_the_key_of_the_arguments_is_the_one_that_vllm_takes() -> None:
    assert api_key(["vllm", "serve", "m", "--api-key", "old", "--api-key", "sk-1", "sk-2", "--api-server-count", "2"]) == "sk-1"
    assert api_key(["vllm", "serve", "m", "--api-server-count", "2"]) is None


def test_secret_values_are_known_so_that_no_message_repeats_them() -> None:
    assert secrets(["--api-key", "sk-1", "sk-2", "--hf-token=hf_x", "--port", "8000"]) == ["sk-1", "sk-2", "hf_x"]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (["--tensor-parallel-size", "2"], "2"),
        (["--tensor_parallel_size=2"], "2"),
        (["-tp", "2"], "2"),
        (["-tp", "2", "--tensor-parallel-size=4"], "4"),
        (["--tensor-parallel-size"], None),
        (["--tensor-parallel-size-of-another=2"], None),
        ([], None),
    ],
)
def test_an_option_is_found_under_each_of_its_names(written: list[str], found: str | None) -> None:
    assert value(["vllm", "serve", "m", *written], "--tensor-parallel-size", "-tp") == found


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["vllm", "serve", "/m", "--port=1"], "/m"),
        (["vllm", "serve", "--model", "/m"], "/m"),
        (["vllm", "serve", "--port=1"], None),
        (["python", "-c", "pass"], None),
    ],
)
def test_the_model_is_the_word_behind_serve(command: list[str], found: str | None) -> None:
    assert model(command) == found
