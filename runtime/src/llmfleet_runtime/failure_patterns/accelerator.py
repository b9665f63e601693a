"""The accelerator and its driver: there, able, well."""

from typing import Final

from llmfleet_runtime.failure_patterns.pattern import RUN, Pattern
from llmfleet_runtime.failure_patterns.reason import Reason

ACCELERATOR: Final = (
    Pattern(
        Reason.DRIVER_TOO_OLD,
        r"(?P<message>The NVIDIA driver on your system is too old \(found version \d+\)|CUDA driver version is insufficient for CUDA runtime version)",
        "update the driver of the node, or choose a spec.engine.image that is built for an older CUDA",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver by downloading and installing a new "
        "version from the URL: http://www.nvidia.com/Download/index.aspx",
        "torch 2.13.0, torch/csrc/cuda/Module.cpp; CUDA 13 runtime, cudaErrorInsufficientDriver",
    ),
    Pattern(
        Reason.DRIVER_TOO_OLD,
        r"(?P<message>(?:Error 80[34]: )?(?:system has unsupported display driver / cuda driver combination"
        r"|forward compatibility was attempted on non supported HW))",
        "the image brings parts of another driver than the node's: take CUDA compatibility out of spec.engine.image (LD_LIBRARY_PATH), or update the driver",
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set "
        "an error? Error 803: system has unsupported display driver / cuda driver combination",
        "CUDA 13 runtime, cudaErrorSystemDriverMismatch and cudaErrorCompatNotSupportedOnDevice; llm-d #706",
    ),
    Pattern(
        Reason.ACCELERATOR_MISSING,
        r"(?P<message>Found no NVIDIA driver on your system|libcuda\.so\.1: cannot open shared object file|NVML Shared Library Not Found|Driver Not Loaded"
        r"|NVMLError_(?:LibraryNotFound|DriverNotLoaded))",
        "the container has no accelerator: spec.accelerator.profile must ask for one (resourceName), and the node needs driver, device plugin and runtimeClass",
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
        "http://www.nvidia.com/Download/index.aspx",
        RUN,
    ),
    Pattern(
        Reason.ACCELERATOR_MISSING,
        r"(?P<message>No (?:CUDA|HIP) GPUs are available|no CUDA-capable device is detected|Failed to infer device type|invalid device ordinal)",
        "the container has no accelerator that its vLLM can use: choose a spec.accelerator.profile of this cluster's devices, and a spec.engine.image for them",
        "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug "
        "the "
        "issue.",
        "vLLM 0.32.0, config/device.py; torch 2.13.0, c10/cuda/CUDAFunctions.cpp; CUDA 13 runtime, cudaErrorNoDevice and cudaErrorInvalidDevice",
    ),
    Pattern(
        Reason.ACCELERATOR_MISSING,
        r"(?P<message>World size \((?P<ranks>\d+)\) is larger than the number of available GPUs \((?P<seen>\d+)\) in this node)",
        "the container sees {seen} of {ranks} accelerators: let spec.parallelism.tensor x pipeline be what spec.template.spec gives the engine's container",
        "  Value error, World size (4) is larger than the number of available GPUs (2) in this node. If this is intentional and you are using: "
        "[type=value_error, input_value=ArgsKwargs((), {})]",
        "vLLM 0.32.0, config/parallel.py",
    ),
    Pattern(
        Reason.ACCELERATOR_UNSUPPORTED,
        r"(?P<message>The quantization method (?P<method>\S+) is not supported for the current GPU\. Minimum capability: (?P<floor>\d+)\. Current "
        r"capability: [^\s.]+)",
        "choose a spec.accelerator.profile whose compute capability times 10 is {floor} or more, or another spec.quantization.method than {method}",
        "  Value error, The quantization method modelopt is not supported for the current GPU. Minimum capability: 80. Current capability: 75. "
        "[type=value_error, input_value=ArgsKwargs((), {})]",
        "vLLM 0.32.0, config/vllm.py",
    ),
    Pattern(
        Reason.ACCELERATOR_UNSUPPORTED,
        r"(?P<message>Bfloat16 is only supported on GPUs with compute capability of at least 8\.0)",
        "set spec.model.dtype to float16, or choose a spec.accelerator.profile of Ampere or newer",
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5. You can use "
        "float16 instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.",
        "vLLM 0.32.0, platforms/cuda.py",
    ),
    Pattern(
        Reason.ACCELERATOR_UNSUPPORTED,
        r"(?P<message>type fp8e\w+ not supported in this architecture|torch\._scaled_mm is only supported on CUDA devices with compute capability >= [\d.]+"
        r"|_C::static_scaled_fp8_quant\(\) expected at most 0 argument)",
        "this device computes no fp8: take fp8 out of spec.quantization.method and kvCache, or choose a spec.accelerator.profile of Ada, Hopper or newer",
        "(Worker pid=9) ERROR 11-21 16:26:01 [multiproc_executor.py:953] RuntimeError: _C::static_scaled_fp8_quant() expected at most 0 argument(s) but "
        "received "
        "4 argument(s). Declaration: _C::static_scaled_fp8_quant() -> ()",
        RUN,
    ),
    Pattern(
        Reason.ACCELERATOR_UNSUPPORTED,
        r"(?P<message>no kernel image is available for execution on the device|device kernel image is invalid)",
        "spec.engine.image has no code for this device's compute capability: choose another spec.engine.version or image, or another spec.accelerator.profile",
        "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device",
        "CUDA 13 runtime, cudaErrorNoKernelImageForDevice; vllm #18835",
    ),
    Pattern(
        Reason.ACCELERATOR_BUSY,
        r"(?P<message>CUDA-capable device\(s\) is/are busy or unavailable)",
        "another process has the accelerator for itself (exclusive mode), or it is being reset: end that process, or look at the node",
        "torch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
        "CUDA 13 runtime, cudaErrorDevicesUnavailable",
    ),
    Pattern(
        Reason.ACCELERATOR_FAILED,
        r"(?P<message>uncorrectable (?:ECC|NVLink) error[^.]*|GPU has fallen off the bus|unknown error.*cudaGetDeviceCount)",
        "the device is broken: cordon the node (kubectl cordon), and have the device reset or replaced",
        "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
        "CUDA 13 runtime, cudaErrorECCUncorrectable and cudaErrorNvlinkUncorrectable; Linux driver, Xid 48, 74, 79",
    ),
    Pattern(
        Reason.ACCELERATOR_FAILED,
        r"(?P<message>CUDA error: (?:an illegal memory access was encountered|unspecified launch failure|device-side assert triggered|misaligned address))",
        "a kernel failed: look for Xid in the node's kernel log; on more than one node it is software: try another spec.engine.attentionBackend or version",
        "[rank0]:[E1121 16:00:00.000000000 ProcessGroupNCCL.cpp:1895] [PG ID 0 PG GUID 0 Rank 0] Process group watchdog thread terminated with exception: CUDA "
        "error: an illegal memory access was encountered",
        "CUDA 13 runtime, cudaErrorIllegalAddress, cudaErrorLaunchFailure and cudaErrorAssert; Linux driver, Xid 13, 31",
    ),
)
"""In order: what is more exact comes first."""
