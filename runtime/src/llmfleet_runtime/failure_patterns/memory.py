"""Memory of the accelerator, of the host and of its disks."""

from typing import Final

from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.reason import Reason

_MORE_ROOM: Final = "raise spec.engine.memoryUtilization (or spec.engine.kvCacheMemory) or spec.parallelism.tensor, or set spec.quantization.kvCache to fp8"

MEMORY: Final = (
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>To serve at least one request with the model.s max seq len \(\d+\).*?available KV cache memory \([^)]*\)).*?"
        r"estimated maximum model length is (?P<length>\d+)",
        f"lower spec.model.maxLength to {{length}}; to keep it, {_MORE_ROOM}",
        "(EngineCore pid=13) ERROR 11-21 16:20:41 [core.py:1510] ValueError: To serve at least one request with the model's max seq len (2048), (0.0 GiB KV "
        "cache is needed, which is larger than the available KV cache memory (0.0 GiB). Based on the available memory, the estimated maximum model length is "
        "640. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or decreasing `max_model_len` when initializing.",
        RUN,
    ),
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>To serve at least one request with the model.s max seq len \(\d+\).*?available KV cache memory \([^)]*\))",
        f"not even one block of tokens fits beside the weights: {_MORE_ROOM}",
        "ValueError: To serve at least one request with the model's max seq len (512), (0.0 GiB KV cache is needed, which is larger than the available KV "
        "cache "
        "memory (0.0 GiB). Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or decreasing `max_model_len`.",
        RUN,
    ),
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>No available memory for the cache blocks)",
        f"the weights and one step leave nothing for the KV cache: {_MORE_ROOM}",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine (this flag also controls "
        "CPU memory reservation on the CPU backend, despite its name).",
        RUN,
    ),
    Pattern(
        Reason.KV_CACHE_TOO_SMALL,
        r"(?P<message>Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token)",
        f"spec.model.maxLength auto finds no length that fits: {_MORE_ROOM}",
        "ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token. Try increasing `gpu_memory_utilization`.",
        RUN,
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>Failed to load model - not enough GPU memory)",
        "the weights alone are too large: raise spec.parallelism.tensor, quantize with spec.quantization.method, or choose a spec.accelerator.profile with "
        "more",
        "(Worker pid=9) ERROR 11-21 09:00:00 [gpu_model_runner.py:5147] Failed to load model - not enough GPU memory. Try lowering --gpu-memory-utilization to "
        "free memory for weights, increasing --tensor-parallel-size, or using --quantization.",
        "vLLM 0.32.0, v1/worker/gpu_model_runner.py",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>CUDA out of memory occurred when warming up (?:sampler|pooler)[^.]*with (?P<requests>\d+) dummy requests)",
        "lower spec.engine.maxSequences below {requests}, or spec.engine.memoryUtilization, which leaves more outside of the KV cache",
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try lowering `max_num_seqs` or "
        "`gpu_memory_utilization` when initializing the engine.",
        "vLLM 0.32.0, v1/worker/gpu_model_runner.py",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>(?:CUDA|HIP|XPU) out of memory\.(?: Tried to allocate [\d.]+ \w+\.)?(?: GPU \d+ has a total capacity of [\d.]+ \w+)?)",
        "while loading raise spec.parallelism.tensor or quantize; at the warm-up or later lower spec.engine.maxBatchedTokens, maxSequences or "
        "memoryUtilization",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 23.55 GiB of which 200.00 MiB is free. "
        "Process 4711 has 23.34 GiB memory in use.",
        "torch 2.13.0, c10/cuda/CUDACachingAllocator.cpp",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>CUDA error: out of memory)",
        "memory outside of torch's own pool ran out: lower spec.engine.memoryUtilization; with kvOffload or cpuOffload the host's pinned memory may be what "
        "is short",
        "torch.AcceleratorError: CUDA error: out of memory",
        "CUDA 13 runtime, cudaErrorMemoryAllocation; torch 2.13.0, c10/cuda/CUDAException.cpp",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>cudaHostRegister failed(?:: -?\d+)?)",
        "the host memory of spec.engine.kvOffload cannot be pinned: lower it, or raise the memory limit of the engine's container in spec.template.spec",
        "RuntimeError: cudaHostRegister failed: 2",
        "vLLM 0.32.0, v1/simple_kv_offload/cuda_mem_ops.py",
    ),
    Pattern(
        Reason.ACCELERATOR_BUSY,
        r"(?P<message>Free memory on device \S+) \([\d.]+/(?P<total>[\d.]+) GiB\)(?P<rest> on startup is less than .*? GiB\))",
        "another process holds memory of the accelerator: end it, let the node's device plugin share none, or lower spec.engine.memoryUtilization",
        "ValueError: Free memory on device cuda:0 (3.04/23.55 GiB) on startup is less than desired GPU memory utilization (0.92, 21.67 GiB). Decrease GPU "
        "memory utilization or reduce GPU memory used by other processes.",
        "vLLM 0.32.0, v1/worker/utils.py",
    ),
    Pattern(
        Reason.ACCELERATOR_BUSY,
        r"(?P<message>Error in memory profiling)",
        "another process gave memory of the accelerator back while vLLM measured: end it, or set spec.engine.kvCacheMemory, which needs no measuring",
        "AssertionError: Error in memory profiling. Initial free memory 20.1 GiB, current free memory 22.3 GiB. This happens when other processes sharing the "
        "same container release GPU memory while vLLM is profiling during initialization.",
        "vLLM 0.32.0, v1/worker/gpu_worker.py",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>Available memory on node \d+) \([\d.]+/[\d.]+ GiB\)(?P<rest> on startup is less than desired CPU memory utilization \([^)]*\))",
        "set spec.engine.kvCacheMemory, and give the engine's container in spec.template.spec memory for it and the weights",
        "ValueError: Available memory on node 0 (19.06/23.54 GiB) on startup is less than desired CPU memory utilization (1.0, 23.54 GiB). On the CPU backend, "
        "the `--gpu-memory-utilization` flag controls the fraction of CPU memory reserved (despite its name).",
        RUN,
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>Available memory on node \d+) \([\d.]+/[\d.]+ GiB\)(?P<rest> on kv cache allocation is less than requested memory for kv \([^)]*\))",
        "lower spec.engine.kvCacheMemory, or raise the memory of the engine's container in spec.template.spec",
        "ValueError: Available memory on node 0 (19.02/23.54 GiB) on kv cache allocation is less than requested memory for kv (100.0 GiB). Decrease "
        "--kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes.",
        RUN,
    ),
    Pattern(
        Reason.SHARED_MEMORY_TOO_SMALL,
        r"(?P<message>Insufficient space in \S*/shm\S* .*?required)",
        "raise the sizeLimit of the volume at /dev/shm where spec.template.spec.volumes lowers it: vLLM needs 160 MiB and 240 MiB for each rank",
        "RuntimeError: Insufficient space in /dev/shm for shared memory: 160 MiB required, 64 MiB free",
        RUN,
    ),
    Pattern(
        Reason.SHARED_MEMORY_TOO_SMALL,
        r"(?P<message>Error while .*? shared memory segment|No space left on device.*(?:/dev/shm|/psm_|/torch_)|(?i:unexpected bus error))",
        "raise the sizeLimit of the volume at /dev/shm where spec.template.spec.volumes lowers it: NCCL and the workers' queues live there",
        "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1b2c3d4e'",
        "NCCL 2.29.7, src/misc/shmutils.cc; torch 2.13.0, torch/utils/data/_utils/signal_handling.py; Python 3.11, multiprocessing/shared_memory.py",
    ),
    Pattern(
        Reason.DISK_FULL,
        r"(?P<message>No space left on device(?:: '[^']*')?|Disk quota exceeded(?:: '[^']*')?|Not enough free disk space to download the file)",
        "keep the model on a claim with spec.model.cache, or raise the size of the claim or of the ephemeral-storage that spec.template.spec asks for",
        "OSError: [Errno 28] No space left on device: '/home/vllm/.cache/huggingface/hub/tmp4x'",
        "Linux, ENOSPC and EDQUOT; huggingface_hub 2.4.0, file_download.py",
    ),
    Pattern(
        Reason.OUT_OF_MEMORY,
        r"(?P<message>DefaultCPUAllocator: (?:can't allocate memory|not enough memory): you tried to allocate \d+ bytes|std::bad_alloc|Cannot allocate memory)",
        "raise the memory limit of the engine's container in spec.template.spec, or lower spec.engine.kvCacheMemory, kvOffload or cpuOffload",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 107374182400 bytes. "
        "Error code 12 (Cannot allocate memory)",
        "torch 2.13.0, c10/core/impl/alloc_cpu.cpp; Linux, ENOMEM",
    ),
)
"""In order: what is more exact comes first."""
