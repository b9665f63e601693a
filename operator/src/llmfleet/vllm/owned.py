"""Flags that engine.extraArgs may not hold, because a field, another object or the operator itself says them.

vLLM takes the last of two equal flags without a word, so an owned flag in extraArgs would make a field that is accepted and ignored.
The reading of an item follows vLLM's parser (vllm/utils/argparse_utils.py on top of Python's argparse): underscores for dashes, any
prefix that is unique, `=` or a following item, dotted keys of JSON flags, `+=` for lists.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Owned:
    """Flags with one owner."""

    flags: tuple[str, ...]
    """All spellings that vLLM declares: long forms and short ones."""
    owner: str
    """The field below spec that says it, or who does."""
    remedy: str
    """What to do instead."""


def _field(field: str, *flags: str) -> Owned:
    return Owned(flags, f"spec.{field}", f"set spec.{field}")


def _operator(remedy: str, *flags: str) -> Owned:
    return Owned(flags, "the operator", remedy)


_ONE_POD: Final = "remove it: a replica is one pod with parallelism.tensor x parallelism.pipeline accelerators"

OWNED: Final = (
    _field("model.source", "--model", "--revision"),
    _field("model.servedNames", "--served-model-name"),
    _field("model.maxLength", "--max-model-len"),
    _field("model.dtype", "--dtype"),
    _field("model.credentials", "--hf-token"),
    _field("quantization.method", "--quantization", "-q"),
    _field("quantization.kvCache", "--kv-cache-dtype"),
    _field("parallelism.tensor", "--tensor-parallel-size", "-tp"),
    _field("parallelism.pipeline", "--pipeline-parallel-size", "-pp"),
    _field("engine.maxSequences", "--max-num-seqs"),
    _field("engine.maxBatchedTokens", "--max-num-batched-tokens"),
    _field("engine.memoryUtilization", "--gpu-memory-utilization", "--device-memory-utilization"),
    _field("rollout.drainTimeout", "--shutdown-timeout"),
    _operator("remove it: the Service and the probes expect vLLM's own HTTP server on port 8000 of every interface", "--port", "--host", "--uds", "--grpc"),
    _operator("remove it: only one API server drains its requests on shutdown", "--api-server-count", "-asc"),
    _operator("set VLLM_API_KEY in spec.engine.env with valueFrom.secretKeyRef: an argument is readable by everyone who may list pods", "--api-key"),
    _operator("remove it and use fields and extraArgs: a file would change the service unseen", "--config"),
    _operator(
        "remove it and end TLS before the Service: the probes and the scraper speak HTTP",
        "--ssl-keyfile",
        "--ssl-certfile",
        "--ssl-ca-certs",
        "--ssl-cert-reqs",
        "--ssl-ciphers",
        "--enable-ssl-refresh",
        "--no-enable-ssl-refresh",
    ),
    _operator("remove it: it takes away the metrics that scaling reads", "--disable-log-stats"),
    _operator("remove it: it prints and ends", "--help", "-h"),
    _operator(_ONE_POD, "--nnodes", "-n", "--node-rank", "-r", "--master-addr", "--master-port", "--headless", "--device-ids"),
    _operator(_ONE_POD, "--prefill-context-parallel-size", "-pcp"),
    _operator(
        _ONE_POD + "; for more throughput raise the replicas",
        *("--data-parallel-size", "-dp", "--data-parallel-size-local", "-dpl", "--data-parallel-rank", "-dpn", "--data-parallel-start-rank", "-dpr"),
        *("--data-parallel-address", "-dpa", "--data-parallel-rpc-port", "-dpp", "--data-parallel-backend", "-dpb", "--data-parallel-supervisor-port"),
        *("--data-parallel-hybrid-lb", "-dph", "--data-parallel-external-lb", "-dpe", "--data-parallel-multi-port-external-lb"),
    ),
)
"""Every owned flag once. A new typed field adds its line here and in arguments.TYPED."""

REMOVED: Final = {
    "--task": "use --runner or --convert",
    "--swap-space": "remove it",
    "--device": "choose it by spec.accelerator.profile",
    "--guided-decoding-backend": "use --structured-outputs-config.backend",
    "--disable-log-requests": "remove it: requests are not logged by default",
    "--num-scheduler-steps": "remove it",
    "--rope-scaling": "use --hf-overrides",
    "--max-seq-len-to-capture": "remove it",
    "--kv-ip": "use --kv-transfer-config",
}
"""Flags of older releases that vLLM 0.32.0 answers with exit code 2, and what took their place (facts/vllm.md, 1.1)."""

_NUMBER: Final = re.compile(r"^-\d+$|^-\d*\.\d+$")
"""argparse's own notion of a negative number: a value, not a flag."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One item of extraArgs that cannot stand there."""

    index: int
    """Place in extraArgs."""
    flag: str
    """The flag as it was spelled, without its value: that may be a key, and what is refused ends up in conditions and logs."""
    rule: str
    remedy: str


def flag_name(item: str) -> str | None:
    """The flag that an item names, as vLLM reads it: without value and dotted key, dashes for underscores; None for a value."""
    if not item.startswith("-") or item in ("-", "--") or _NUMBER.match(item):
        return None
    name = item.split("=", 1)[0].split(".", 1)[0]
    return name.replace("_", "-").rstrip("+") if name.startswith("--") else name


def owner_of(name: str) -> Owned | None:
    """Who owns a flag as flag_name gives it.

    A prefix of an owned flag is refused even where it is not unique, for then vLLM refuses it: no flag of vLLM 0.32.0 that may be
    given is itself a prefix of an owned one.
    """
    return next((owned for owned in OWNED if any(_means(name, flag) for flag in owned.flags)), None)


def _means(name: str, flag: str) -> bool:
    """Whether vLLM reads `name` as `flag`: equal, a prefix, or a short form with its value attached (`-tp4`, `-qawq`)."""
    if flag.startswith(name):
        return True
    if flag.startswith("--"):
        return False
    attached = name.removeprefix(flag)
    return attached != name and (len(flag) == 2 or attached.isdigit())


def refusals(extra_args: Sequence[str]) -> Iterator[Refusal]:
    """The items of extraArgs that vLLM would misread or that have another owner, in order."""
    if extra_args and flag_name(extra_args[0]) is None:
        yield Refusal(
            0, extra_args[0], "stands before the first flag: vLLM would take it for a second model", "begin with a flag such as --enable-prefix-caching"
        )
    for index, item in enumerate(extra_args):
        name = flag_name(item)
        if name is None:
            continue
        spelled = item.split("=", 1)[0].split(" ", 1)[0]
        if " " in name:
            yield Refusal(index, spelled, "holds a flag and its value in one item", "write two items, or one with '=' between them")
        elif name in REMOVED:  # asked first: --device is also a prefix of --device-ids
            yield Refusal(index, spelled, "no longer exists in vLLM", REMOVED[name])
        elif owned := owner_of(name):
            declared = next(flag for flag in owned.flags if _means(name, flag))
            meaning = "" if declared == name else f"is {declared}, which "
            yield Refusal(index, spelled, f"{meaning}belongs to {owned.owner}", owned.remedy)
