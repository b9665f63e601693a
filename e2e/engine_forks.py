"""vLLM servers that start in seconds: one process imports vLLM once, and every server is a fork of it.

A program of its own, run with the Python of the CPU environment: `python engine_forks.py`. Each line of its standard input is a JSON object with the
`arguments` of `vllm serve`, the `environment` and the path of a `log`; it answers with the process id of the server, which leads a process group.

vLLM on the CPU spawns its engine and its workers, so each of the three processes of a server would import for six seconds. Forking is what vLLM itself
does on GPUs (VLLM_WORKER_MULTIPROC_METHOD, default fork); what is configured, loaded and computed is the same. It is sound here because the first process
runs no tensor operation: a fork of OpenMP's threads would hang.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
from typing import Any

_FOR_THE_SERVER = (
    "vllm.entrypoints.cli.main",
    "vllm.entrypoints.cli.serve",
    "vllm.entrypoints.launchers.api_server.entry",
)
_THAT_START_PROCESSES = ("vllm.v1.engine.coordinator", "vllm.v1.engine.utils", "vllm.v1.executor.multiproc_executor")
_FOR_ENGINE_AND_WORKERS = (
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.model_executor.models.llama",
    "torch._inductor.config",
)


def prepare() -> None:
    """Import vLLM once, and have it fork its processes from now on."""
    for name in (*_FOR_THE_SERVER, *_THAT_START_PROCESSES, *_FOR_ENGINE_AND_WORKERS):
        importlib.import_module(name)
    for name in _THAT_START_PROCESSES:
        vars(sys.modules[name])["get_mp_context"] = lambda: multiprocessing.get_context("fork")


def main() -> None:
    """Serve forks until the input ends."""
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _serve(json.loads(line))
        print(pid, flush=True)


def _serve(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    sys.argv = ["vllm", "serve", *order["arguments"]]
    sys.exit(sys.modules["vllm.entrypoints.cli.main"].main())


if __name__ == "__main__":
    main()
