"""Processes, ports, files, and how the ranks of one engine find each other."""

from typing import Final

from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.reason import Reason

PROCESSES: Final = (
    Pattern(
        Reason.PORT_IN_USE,
        r"(?P<message>\[Errno 98\].*|Address already in use|EADDRINUSE)",
        "let no other container of spec.template.spec listen on that port, and leave hostNetwork off",
        "OSError: [Errno 98] Address already in use",
        RUN,
    ),
    Pattern(
        Reason.COMMUNICATION_FAILED,
        r"(?P<message>The client socket has (?:timed out|failed to connect)|Timed out after \d+ seconds waiting for clients|Gloo connectFullMesh failed)",
        "a rank did not come: it says why earlier in the log; on one node leave VLLM_HOST_IP, MASTER_ADDR and the like out of spec.engine.env",
        "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 clients joined.",
        RUN,
    ),
    Pattern(
        Reason.COMMUNICATION_FAILED,
        r"(?P<message>Watchdog caught collective operation timeout|Some NCCL operations have failed or timed out)",
        "one rank stood still while the others waited: look for its error earlier in the log, and at the node's kernel log for Xid",
        "[rank0]:[E1121 16:00:00.000000000 ProcessGroupNCCL.cpp:685] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12, "
        "OpType=ALLREDUCE)",
        "torch 2.13.0, torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp",
    ),
    Pattern(
        Reason.COMMUNICATION_FAILED,
        r"(?P<message>NCCL error(?: in)?: .*|ncclSystemError.*|ncclUnhandledCudaError.*|ncclRemoteError.*)",
        "set NCCL_DEBUG=INFO in spec.engine.env, which names the call; most often /dev/shm is too small, or devices of the pod cannot reach each other",
        "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)",
        "vLLM 0.32.0, distributed/device_communicators/pynccl_wrapper.py; NCCL 2.29.7",
    ),
    Pattern(
        Reason.ENGINE_STALLED,
        r"(?P<message>RPC call to \w+ timed out)",
        "a step took longer than vLLM waits: look for what a worker said before, or raise VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS in spec.engine.env",
        "TimeoutError: RPC call to execute_model timed out.",
        "vLLM 0.32.0, v1/executor/multiproc_executor.py",
    ),
    Pattern(
        Reason.START_TIMEOUT,
        r"(?P<message>Timed out waiting for engine core processes to start)",
        "raise VLLM_ENGINE_READY_TIMEOUT_S in spec.engine.env where loading is only slow, and fetch the model once with spec.model.cache",
        "TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight loading for large models.",
        "vLLM 0.32.0, v1/engine/core_client.py",
    ),
    Pattern(
        Reason.NOT_WRITABLE,
        r"(?P<message>(?:Read-only file system|Permission denied): '(?P<path>[^']*)'|PermissionError at (?P<other>\S+))",
        "the engine's user may not use {path}{other}: give it the pod's group (spec.template.spec.securityContext.fsGroup), or mount a volume there",
        "OSError: [Errno 30] Read-only file system: '/opt/cache'",
        RUN,
    ),
    Pattern(
        Reason.ENGINE_FAILED,
        r"(?P<message>Too many open files)",
        "raise the limit of open files of the node's containers (LimitNOFILE of the container runtime), or lower spec.engine.maxQueuedRequests",
        "OSError: [Errno 24] Too many open files",
        "Linux, EMFILE",
    ),
    Pattern(
        Reason.ENGINE_FAILED,
        r"(?P<message>Resource temporarily unavailable|can't start new thread|pthread_create.*failed)",
        "the node's limit of processes for a pod is reached (podPidsLimit of the kubelet): raise it, or lower OMP_NUM_THREADS in spec.engine.env",
        "RuntimeError: can't start new thread",
        "Python 3.11, threading.py; Linux, EAGAIN",
    ),
    Pattern(
        Reason.COMMAND_NOT_FOUND,
        r"(?P<message>No module named '(?P<module>[^']*)'|Please install (?P<other>\S+))",
        "choose a spec.engine.image that has {module}{other}, or leave out the feature that needs it (spec.model.loadFormat, spec.engine.*, extraArgs)",
        "ModuleNotFoundError: No module named 'runai_model_streamer'",
        RUN,
    ),
    Pattern(
        Reason.INVALID_ARGUMENT,
        r"(?P<message>Load format `[^`]*` is not supported)",
        "set spec.model.loadFormat to a format of this vLLM, or leave it out",
        "ValueError: Load format `nonsense` is not supported",
        RUN,
    ),
    Pattern(
        Reason.ENGINE_DIED,
        r"(?P<message>Fatal Python error: .*|Segfault encountered|(?:Worker|Engine core) proc \S+ died unexpectedly \(exit code: -(?:6|11)\))",
        "a library crashed: leave out what spec.engine asks for beyond the defaults (attentionBackend, compilation), and try another spec.engine.version",
        "Fatal Python error: Segmentation fault",
        RUN,
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>(?:Worker|Engine core) proc \S+ died unexpectedly \(exit code: -9\))",
        "the kernel kills so where memory is short: raise the memory limit of the engine's container in spec.template.spec",
        "(EngineCore pid=31) ERROR 11-21 13:17:45 [multiproc_executor.py:315] Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting down "
        "executor.",
        RUN,
    ),
    Pattern(
        Reason.ENGINE_DIED,
        r"died unexpectedly|EngineDeadError|EngineCore encountered an issue",
        "kubectl logs --previous shows what came before; if it says nothing, look at the node's kernel log for kills and Xid",
        "(APIServer pid=1) ERROR 11-21 09:30:12 [core_client.py:710] Engine core proc EngineCore died unexpectedly, shutting down client.",
        RUN,
    ),
)
"""In order: what is more exact comes first."""
