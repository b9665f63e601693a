"""The table of failures against a real vLLM on the CPU: what it writes today is what the rows know.

One process imports vLLM, and every case is a fork of it (e2e/engine_forks.py), two at a time: most end before an engine is made. What needs a GPU, a kernel
that kills or a full disk is not here; the table says of each row whether it was seen.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from e2e.cluster import tiny_model, vllm_environment
from e2e.ports import free_port
from llmfleet_runtime.failure_patterns import PATTERNS, RUN, Pattern, Reason
from llmfleet_runtime.failures import classify, row_of
from llmfleet_runtime.output import ErrorLines
from tests.integration.runtime.launched import eventually

FORKS = Path(__file__).parents[3] / "e2e/engine_forks.py"
AT_ONCE = 2
END_SECONDS = 180
"""A case takes 2 s on an idle machine, 8 s where an engine is made."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Case:
    """A command line that fails, and what is told of it."""

    reason: Reason
    message: str
    """Part of it."""
    remedy: str
    """Part of it."""
    arguments: tuple[str, ...] = ()
    model: str = "tiny"
    """A tiny model, a folder made of one, or a repository of the hub."""
    environment: dict[str, str] = field(default_factory=dict)


SPECULATIVE = "--speculative-config"

CASES = {
    # What the parser refuses.
    "flag": Case(Reason.INVALID_ARGUMENT, "unrecognized arguments: --no-such-flag", "take --no-such-flag out", ("--no-such-flag",)),
    "choice": Case(Reason.INVALID_ARGUMENT, "argument --dtype: invalid choice: 'nope'", "correct the value of --dtype", ("--dtype=nope",)),
    # What the configuration refuses.
    "quantization": Case(Reason.UNKNOWN_QUANTIZATION, "Unknown quantization method: nonsense", "quantization.method out", ("--quantization=nonsense",)),
    "deprecated": Case(Reason.UNKNOWN_QUANTIZATION, "deprecated", "than fbgemm_fp8", ("--quantization=fbgemm_fp8",)),
    "not quantized": Case(Reason.UNKNOWN_QUANTIZATION, "Cannot find the config file for awq", "not quantized with awq", ("--quantization=awq",)),
    "mismatch": Case(Reason.UNKNOWN_QUANTIZATION, "does not match", "says compressed-tensors itself", ("--quantization=awq",), "w8a8"),
    "dtype": Case(Reason.INVALID_ARGUMENT, "torch.float32 is not supported", "spec.model.dtype", ("--quantization=fp8_per_tensor", "--dtype=float32")),
    "length": Case(Reason.INVALID_ARGUMENT, "max_model_len (100000)", "lower spec.model.maxLength to 2048", ("--max-model-len=100000",)),
    "heads": Case(Reason.INVALID_ARGUMENT, "attention heads (4)", "spec.parallelism.tensor to a number that divides 4", ("--tensor-parallel-size=3",)),
    "tokens": Case(
        Reason.INVALID_ARGUMENT, "smaller than max_model_len (512)", "maxBatchedTokens to 512", ("--max-num-batched-tokens=100", "--no-enable-chunked-prefill")
    ),
    "sequences": Case(Reason.INVALID_ARGUMENT, "max_num_seqs (4)", "spec.engine.maxBatchedTokens to 4", ("--max-num-batched-tokens=2",)),
    "attention": Case(Reason.INVALID_ARGUMENT, "Unknown attention backend: 'NONSENSE'", "attentionBackend out", ("--attention-backend=NONSENSE",)),
    "tools": Case(Reason.INVALID_ARGUMENT, "invalid tool call parser", "toolCalling.parser", ("--enable-auto-tool-choice", "--tool-call-parser=nonsense")),
    "no parser": Case(Reason.INVALID_ARGUMENT, "requires --tool-call-parser", "toolCalling.parser", ("--enable-auto-tool-choice",)),
    "reasoning": Case(Reason.INVALID_ARGUMENT, "Reasoning parser 'nonsense' not found", "reasoning.parser", ("--reasoning-parser=nonsense",)),
    "template": Case(Reason.INVALID_ARGUMENT, "/nowhere/t.jinja", "spec.model.chatTemplate", ("--chat-template=/nowhere/t.jinja",)),
    "no draft": Case(
        Reason.INVALID_ARGUMENT, "without speculative model", "speculative.model", (SPECULATIVE, '{"method": "eagle3", "num_speculative_tokens": 2}')
    ),
    "draft": Case(
        Reason.INVALID_ARGUMENT,
        "same vocabulary size",
        "speculative.model",
        (SPECULATIVE, '{"method": "draft_model", "model": "FOLDER/vocabulary", "num_speculative_tokens": 2}'),
    ),
    "draft's ranks": Case(
        Reason.INVALID_ARGUMENT,
        "speculative_draft_tensor_parallel_size=4",
        "speculative.tensor to 1",
        (SPECULATIVE, '{"method": "draft_model", "model": "MODELS/draft", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 4}'),
    ),
    "key": Case(Reason.INVALID_ARGUMENT, "nonsense: Unexpected keyword argument", "correct nonsense", (SPECULATIVE, '{"nonsense": 1}')),
    "method": Case(Reason.INVALID_ARGUMENT, "method: Input should be 'ngram'", "correct method", (SPECULATIVE, '{"method": "x", "num_speculative_tokens": 2}')),
    "tokenizer's mode": Case(Reason.INVALID_ARGUMENT, "tokenizer_mode='nonsense'", "spec.model.tokenizerMode", ("--tokenizer-mode=nonsense",)),
    "connector": Case(
        Reason.INVALID_ARGUMENT,
        "connector type: Nonsense",
        "--kv-transfer-config",
        ("--kv-transfer-config", '{"kv_connector": "Nonsense", "kv_role": "kv_both"}'),
    ),
    "runner": Case(Reason.INVALID_ARGUMENT, "`--runner generate`", "spec.model.runner out", ("--runner=generate",), "encoder"),
    "package": Case(Reason.COMMAND_NOT_FOUND, "No module named 'ray'", "has ray", ("--distributed-executor-backend=ray",)),
    # The model.
    "architecture": Case(Reason.UNSUPPORTED_MODEL, "['FooForCausalLM']", "spec.engine.version", model="architecture"),
    "type": Case(Reason.UNSUPPORTED_MODEL, "model type `foo`", "knows foo", model="type"),
    "code": Case(Reason.UNSUPPORTED_MODEL, "custom code", "spec.model.trustRemoteCode", model="code"),
    "path": Case(Reason.MODEL_NOT_FOUND, "'/nowhere/x'", "there is no directory /nowhere/x", model="/nowhere/x"),
    "no config": Case(Reason.MODEL_INCOMPLETE, "Invalid repository ID or local directory", "no config.json", model="no-config"),
    "half a config": Case(Reason.MODEL_INCOMPLETE, "not a valid JSON file", "spec.model.source", model="half-config"),
    "no tokenizer": Case(Reason.MODEL_INCOMPLETE, "backend tokenizer", "spec.model.tokenizer", model="no-tokenizer"),
    # The engine's processes.
    "port": Case(Reason.PORT_IN_USE, "[Errno 98]", "hostNetwork", ("--port=TAKEN",)),
    "load format": Case(Reason.INVALID_ARGUMENT, "Load format `nonsense`", "spec.model.loadFormat", ("--load-format=nonsense",)),
    "service named vllm": Case(Reason.INVALID_ARGUMENT, "VLLM_PORT", "enableServiceLinks", environment={"VLLM_PORT": "tcp://10.0.0.1:8000"}),
    "no weights": Case(Reason.MODEL_INCOMPLETE, "Cannot find any model weights", "upload the weights", model="no-weights"),
    "half the weights": Case(Reason.MODEL_INCOMPLETE, "file not fully covered", "is cut off", model="half-weights"),
    "pointer": Case(Reason.MODEL_INCOMPLETE, "header too large", "git lfs pull", model="pointer"),
    "shard": Case(Reason.MODEL_INCOMPLETE, "referenced in index but missing", "fetch the model again", model="shard"),
    "layers": Case(Reason.MODEL_INCOMPLETE, "were not initialized", "configOverrides", model="layers"),
    "shapes": Case(Reason.MODEL_INCOMPLETE, "exceeds dimension size", "configOverrides", model="shapes"),
    "host memory": Case(Reason.OUT_OF_MEMORY, "requested memory for kv (4096.0 GiB)", "spec.engine.kvCacheMemory", ("--kv-cache-memory-bytes=4096G",)),
    "fits shorter": Case(
        Reason.KV_CACHE_TOO_SMALL, "max seq len (2048)", "lower spec.model.maxLength to 640;", ("--max-model-len=2048", "--kv-cache-memory-bytes=400K")
    ),
    "fits not": Case(Reason.KV_CACHE_TOO_SMALL, "max seq len (512)", "not even one block", ("--kv-cache-memory-bytes=100000",)),
    "fits nothing": Case(Reason.KV_CACHE_TOO_SMALL, "No available memory for the cache blocks", "memoryUtilization", ("--kv-cache-memory-bytes=1000",)),
    "adapter": Case(
        Reason.ADAPTER_FAILED, "No adapter found for /nowhere/a", "the source of a in spec.adapters.items", ("--enable-lora", "--lora-modules=a=/nowhere/a")
    ),
    "rank": Case(Reason.ADAPTER_FAILED, "rank 8", "maxRank to 8", ("--enable-lora", "--max-lora-rank=1", "--lora-modules=a=MODELS/adapter")),
}

NOT_HERE = {
    "CPU memory utilization": "how much is free decides",
    "auto-fit": "one of four ways to have too small a KV cache is enough",
    "/shm": "needs a /dev/shm of its own",
    "driver on your system": "vLLM on the CPU asks for no driver; torch.cuda.init() says it",
    "fp8": "two seconds more for what only the CPU says so",
    "cached snapshot folder": "needs a process that has imported the hub's client offline",
    "NUMA": "how many nodes the machine has decides",
    "int\\(\\)": "a variable that the operator never renders",
    "LoRA is not enabled": "flags that the operator refuses",
    "waiting for clients": "takes minutes until it gives up",
    "Read-only file system": "vLLM goes on without most of its caches",
    "40[13] Client Error": "a library below vLLM says it, see below",
    "GatedRepoError": "the same",
    "RevisionNotFoundError": "the same",
    "429": "the library tries again for half a minute before it says so",
    "died unexpectedly": "tests/integration/runtime/test_states_of_vllm.py kills the processes",
    "Fatal Python error": "the same",
}
"""Part of the pattern of a row that was seen and is not seen here again, and why."""


class Hub(BaseHTTPRequestHandler):
    """A hub that has nothing and says why, as huggingface.co does."""

    def do_GET(self) -> None:
        """Refuse."""
        code, headers = 404, {"X-Error-Code": "RepoNotFound"}
        if "gated" in self.path:
            code, headers = 403, {"X-Error-Code": "GatedRepo"}
        elif "private" in self.path:
            code, headers = 401, {"X-Error-Message": "Invalid username or password."}
        elif "revision" in self.path:
            headers = {"X-Error-Code": "RevisionNotFound"}
        self.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 http.server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that are broken, each made of a tiny one."""
    root = tmp_path_factory.mktemp("models")

    def made(name: str, of: str = "tiny", without: str = "", **config: Any) -> Path:
        target = root / name
        shutil.copytree(tiny_model.ensure(of), target)
        for path in target.glob(without) if without else ():
            path.unlink()
        if config:
            path = target / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return target

    made("architecture", architectures=["FooForCausalLM"])
    made("type", architectures=["FooForCausalLM"], model_type="foo")
    (made("code", model_type="foo", auto_map={"AutoConfig": "configuration_foo.Foo"}) / "configuration_foo.py").write_text("Foo = None\n")
    made("vocabulary", vocab_size=1024)
    made("no-config", without="config.json")
    (made("half-config") / "config.json").write_text("{not json")
    made("no-tokenizer", without="tokenizer*")
    made("no-weights", without="*.safetensors")
    weights = made("half-weights") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    (made("pointer") / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    made("shard", of="sharded", without="model-00001*")
    made("layers", num_hidden_layers=4)
    made("shapes", intermediate_size=512)
    return root


@dataclass(frozen=True)
class Output:
    """What a case wrote."""

    text: str

    @property
    def errors(self) -> list[str]:
        kept = ErrorLines(lambda: 0.0)
        for line in self.text.splitlines():
            kept.feed(line)
        return kept.lines()

    @property
    def row(self) -> Pattern | None:
        """The row that decides."""
        return next((row for line in self.errors if (row := row_of(line)) is not None and classify(1, self.errors).reason is row.reason), None)


@pytest.fixture(scope="module")
def outputs(request: pytest.FixtureRequest, hub: int, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Output]:
    """Run every case that is asked for (`-k` chooses) to its end."""
    asked = [name for name in CASES if any(item.name.endswith(f"[{name}]") for item in request.session.items)]
    scratch = tmp_path_factory.mktemp("logs")
    quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(scratch / "cache")}
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "VLLM_API_KEY")}
    command = [str(vllm_environment.host_python()), "-P", str(FORKS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment | quiet) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        assert forks.stdout.readline() == "ready\n"
        running: set[int] = set()
        try:
            for name in asked:
                print(json.dumps(_order(CASES[name], scratch / f"{name}.log", hub, folder)), file=forks.stdin, flush=True)
                running.add(int(forks.stdout.readline()))
                _until_fewer_run(running, AT_ONCE)
            _until_fewer_run(running, 1)
        finally:
            for pid in running:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            forks.terminate()
    return {name: Output((scratch / f"{name}.log").read_text(errors="replace")) for name in asked}


def _until_fewer_run(running: set[int], number: int) -> None:
    def still() -> int:
        running.intersection_update({pid for pid in running if Path(f"/proc/{pid}").exists()})
        return len(running)

    eventually(still, lambda count: count < number, within_seconds=END_SECONDS)


def _order(case: Case, log: Path, hub: int, folder: Path) -> dict[str, Any]:
    models = tiny_model.ensure().parent
    made = folder / case.model
    model = case.model if "/" in case.model else str(made if made.exists() else models / case.model)
    flags = (f"--port={free_port()}", "--host=127.0.0.1", "--enforce-eager", "--kv-cache-memory-bytes=16M", "--max-model-len=512", "--max-num-seqs=4")
    given = (argument.replace("FOLDER", str(folder)).replace("MODELS", str(models)).replace("TAKEN", str(hub)) for argument in case.arguments)
    return {"arguments": [model, *flags, *given], "environment": {"VLLM_CPU_OMP_THREADS_BIND": "nobind", **case.environment}, "log": str(log)}


@pytest.mark.parametrize("name", CASES)
def test_what_vllm_writes_is_understood(name: str, outputs: dict[str, Output]) -> None:
    case, output = CASES[name], outputs[name]
    failure = classify(1, output.errors)
    assert failure.reason is case.reason, output.text[-6000:]
    assert case.message in failure.message
    assert case.remedy in failure.remedy
    assert output.row is not None
    assert output.row.source == RUN, "the table says that this was not seen"


def test_every_row_that_was_seen_is_seen_again_or_is_said_not_to_be(outputs: dict[str, Output]) -> None:
    if len(outputs) < len(CASES):
        pytest.skip("not every case was asked for")
    seen = {output.row for output in outputs.values()}
    missing = [row.pattern for row in PATTERNS if row.source == RUN and row not in seen and not any(part in row.pattern for part in NOT_HERE)]
    assert missing == []


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("gated", Reason.MODEL_ACCESS_DENIED, "accept the model's licence"),
        ("private", Reason.MODEL_ACCESS_DENIED, "spec.model.credentials"),
        ("revision", Reason.MODEL_NOT_FOUND, "the revision after the @"),
        ("missing", Reason.MODEL_NOT_FOUND, "correct spec.model.source"),
    ],
)
def test_what_the_hubs_library_writes_is_understood(name: str, reason: Reason, remedy: str, hub: int, tmp_path: Path) -> None:
    fetch = f"from huggingface_hub import hf_hub_download; hf_hub_download('acme/{name}', 'config.json')"
    environment = {"HF_ENDPOINT": f"http://127.0.0.1:{hub}", "HF_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([str(vllm_environment.host_python()), "-P", "-c", fetch], env=environment, capture_output=True, text=True, check=False)
    failure = classify(done.returncode, Output(done.stderr).errors)
    assert failure.reason is reason, done.stderr
    assert remedy in failure.remedy
