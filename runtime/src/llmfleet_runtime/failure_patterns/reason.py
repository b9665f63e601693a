"""The closed list of reasons, and what to do about each where the failure itself does not say it better."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Reasons of a failure: a closed list, part of the contract of the pod (docs/engine-pod.md). docs/troubleshooting.md has these sentences."""

    INVALID_ARGUMENT = "InvalidArgument"
    """vLLM refuses an argument or a combination of arguments."""
    UNKNOWN_QUANTIZATION = "UnknownQuantization"
    """The quantization method does not exist in this vLLM, or is not the checkpoint's."""
    UNSUPPORTED_MODEL = "UnsupportedModel"
    """This vLLM cannot run the model: it has no implementation of the architecture, or needs code or packages that are not there."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """There is no such model, revision, file or path."""
    MODEL_ACCESS_DENIED = "ModelAccessDenied"
    """The model's host refuses: gated, private, or a bad token."""
    MODEL_INCOMPLETE = "ModelIncomplete"
    """Files of the model are missing or broken where it should lie."""
    SOURCE_UNREACHABLE = "SourceUnreachable"
    """The model's host cannot be reached, or does not answer as it should."""
    RATE_LIMITED = "RateLimited"
    """The model's host limits the rate of requests."""
    KV_CACHE_TOO_SMALL = "KVCacheTooSmall"
    """The KV cache does not hold one request of the longest length."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The memory of the accelerator or of the host does not suffice."""
    SHARED_MEMORY_TOO_SMALL = "SharedMemoryTooSmall"
    """The pod's shared memory is too small for vLLM's message queues."""
    DISK_FULL = "DiskFull"
    """A volume of the pod is full."""
    NOT_WRITABLE = "NotWritable"
    """A directory that the engine writes to cannot be written, or a file cannot be read."""
    PORT_IN_USE = "PortInUse"
    """Another process has the port."""
    COMMAND_NOT_FOUND = "CommandNotFound"
    """The image has no such program, or it cannot be run."""
    ADAPTER_FAILED = "AdapterFailed"
    """An adapter cannot be fetched or loaded; it ends no engine that has it from spec.adapters."""
    ACCELERATOR_MISSING = "AcceleratorMissing"
    """Fewer accelerators are seen than were asked for."""
    ACCELERATOR_UNSUPPORTED = "AcceleratorUnsupported"
    """The accelerator cannot do what is asked: its compute capability is below what the quantization or the type needs."""
    ACCELERATOR_BUSY = "AcceleratorBusy"
    """Another process has memory of the accelerator."""
    ACCELERATOR_FAILED = "AcceleratorFailed"
    """The accelerator or its driver failed while it worked."""
    DRIVER_TOO_OLD = "DriverTooOld"
    """The node's driver is older than the image's libraries need."""
    COMMUNICATION_FAILED = "CommunicationFailed"
    """The ranks of one engine do not reach each other."""
    START_TIMEOUT = "StartTimeout"
    """The engine did not answer within engine.startTimeout."""
    ENGINE_STALLED = "EngineStalled"
    """Requests ran and the engine made no step."""
    ENGINE_DIED = "EngineDied"
    """A process of the engine ended by itself or was killed; the cause is not in the log."""
    ENGINE_FAILED = "EngineFailed"
    """Any other failure: the message is the first error line."""


REMEDIES: Final[dict[Reason, str]] = {
    Reason.INVALID_ARGUMENT: "correct the field that renders the argument, or the item of spec.engine.extraArgs",
    Reason.UNKNOWN_QUANTIZATION: "leave spec.quantization.method out for a checkpoint that is quantized already, else name a method of this vLLM",
    Reason.UNSUPPORTED_MODEL: "choose another spec.model.source, or a spec.engine.version (or spec.engine.image) that has this model",
    Reason.MODEL_NOT_FOUND: "correct spec.model.source: its repository, revision or path",
    Reason.MODEL_ACCESS_DENIED: "accept the model's licence at its host, and let spec.model.credentials name a Secret with a token that may read it",
    Reason.MODEL_INCOMPLETE: "fetch or export the model again, whole, into the place that spec.model.source names",
    Reason.SOURCE_UNREACHABLE: "let the pods reach the host (DNS, NetworkPolicy, proxy in spec.engine.env), or fetch the model once with spec.model.cache",
    Reason.RATE_LIMITED: "fetch the model once with spec.model.cache, or let spec.model.credentials name a Secret with a token",
    Reason.KV_CACHE_TOO_SMALL: "lower spec.model.maxLength, or raise spec.engine.memoryUtilization or spec.parallelism.tensor",
    Reason.OUT_OF_MEMORY: "use a larger accelerator or a larger spec.parallelism.tensor, or quantize with spec.quantization",
    Reason.SHARED_MEMORY_TOO_SMALL: "raise the sizeLimit of the volume at /dev/shm where spec.template.spec.volumes lowers it, or leave it to the operator",
    Reason.DISK_FULL: "keep the model on a claim with spec.model.cache, or raise the ephemeral-storage that spec.template.spec gives the engine's container",
    Reason.NOT_WRITABLE: "give the path an owner or a group that the pod has (spec.template.spec.securityContext), or mount a volume there",
    Reason.PORT_IN_USE: "let no other container of spec.template.spec listen on that port, and leave hostNetwork off",
    Reason.COMMAND_NOT_FOUND: "let spec.engine.image name an image with vLLM and Python in it",
    Reason.ADAPTER_FAILED: "correct the adapter's source in spec.adapters.items, or take the item out",
    Reason.ACCELERATOR_MISSING: "see that the node's device plugin and driver work, and that spec.accelerator.profile is of this cluster's devices",
    Reason.ACCELERATOR_UNSUPPORTED: "choose a spec.accelerator.profile of a newer device, or change spec.quantization or spec.model.dtype",
    Reason.ACCELERATOR_BUSY: "end what else uses the accelerator, or lower spec.engine.memoryUtilization to what is free",
    Reason.ACCELERATOR_FAILED: "look at the node's kernel log for Xid errors, and take the node out of service if it happens there again",
    Reason.DRIVER_TOO_OLD: "update the driver of the node, or choose a spec.engine.image built for an older CUDA",
    Reason.COMMUNICATION_FAILED: "see that every rank of the pod has started, and set NCCL_DEBUG=INFO in spec.engine.env to learn more",
    Reason.START_TIMEOUT: "raise spec.engine.startTimeout where the model is only large or slow to fetch; else the log says what it waits for",
    Reason.ENGINE_STALLED: "the log before it says what ran; if it happens again, report it to vLLM with spec.engine.enforceEager on to rule out compilation",
    Reason.ENGINE_DIED: "kubectl logs --previous shows what came before; look at the node's kernel log if it says nothing",
    Reason.ENGINE_FAILED: "kubectl logs --previous shows what came before and after it",
}
"""One sentence for each reason, without a full stop: what to do, with the names of the fields."""
