"""A real vLLM on the CPU with the tiny model, under the launcher."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from e2e.cluster import tiny_model, vllm_environment
from tests.integration.runtime.launched import Launched, eventually, launched

_FORKING_VLLM = Path(__file__).with_name("forking_vllm.py")
_ENGINE = ("--served-model-name=tiny", "--enforce-eager", "--kv-cache-memory-bytes=64M", "--max-num-seqs=4", "--max-model-len=2048")


@contextmanager
def launched_vllm(directory: Path, *engine: str, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> Iterator[Launched]:
    """A launcher whose vLLM has just been started; what both write is kept."""
    program = (str(vllm_environment.host_python()), "-P", str(_FORKING_VLLM), "serve", str(tiny_model.ensure()), "--host=127.0.0.1")
    quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(directory / "cache"), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    # The path of a socket has 107 characters at most, and a test's directory may have more.
    with TemporaryDirectory() as sockets:
        variables = {**quiet, "VLLM_RPC_BASE_PATH": sockets, **(environment or {})}
        with launched(directory, *_ENGINE, *engine, program=program, options=options, environment=variables, keep_output=True) as launch:
            yield launch


def serving(launch: Launched, within_seconds: float) -> None:
    """Wait until it is ready; AssertionError with its last words where it ends before."""
    eventually(lambda: launch.status("/readyz"), lambda status: status == 200 or launch.process.poll() is not None, within_seconds=within_seconds)
    assert launch.process.poll() is None, launch.output.read_text()[-5000:]
