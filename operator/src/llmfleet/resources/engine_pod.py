"""The pod that answers requests: vLLM's stock image, run by our launcher, under the restricted pod security profile.

docs/engine-pod.md is the contract with the runtime; what a person changes of the pod is merged last.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from llmfleet import names
from llmfleet.api.accelerator import Vendor
from llmfleet.api.pod_shape import Shape, pod_template
from llmfleet.api.quantity import quantity_bytes
from llmfleet.api.v1alpha1 import EnvVar
from llmfleet.planning import reserved
from llmfleet.resources import adapters
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.location import CACHE_ROOT, Location, cache_claim, locate
from llmfleet.resources.restricted import container_security, pod_security, without_privileges
from llmfleet.resources.template_merge import merged
from llmfleet.vllm.arguments import arguments
from llmfleet.vllm.quantization import lowest_capability

STOP_MARGIN_SECONDS: Final = 30
"""Between the end of draining and the kubelet's SIGKILL: the launcher ends vLLM within 10 s, and its report must get out."""

SHM_BASE_MIB: Final = 1024
SHM_PER_RANK_MIB: Final = 512
"""vLLM's multiprocessing executor refuses to start below 160 + 240 x ranks MiB of /dev/shm (0.32, measured); NCCL and what a
killed container left behind need room too. It is a limit, not a reservation. Data parallel ranks are ranks too: each has an executor of its own."""


def template(blueprint: Blueprint) -> Manifest:
    """Return the pod template of an engine replica."""
    owner, spec, profile = blueprint.owner, blueprint.spec, blueprint.profile
    location = locate(blueprint)
    served = arguments(spec, name=owner.name, places=location.places)
    fetching, fetching_volumes = adapters.sidecars(blueprint) if spec.adapters.enabled else ([], [])
    compile_cache = _compile_cache(blueprint, served) if cache_claim(blueprint) is not None else None
    metadata: Manifest = {"labels": {**spec.template.metadata.labels, **owner.labels, **owner.selector}}
    annotations = dict(spec.template.metadata.annotations)
    if blueprint.configuration:
        annotations[names.ANNOTATION_CONFIG] = _joined(blueprint.configuration.items())
    if annotations:
        metadata["annotations"] = annotations
    pod: Manifest = {
        "serviceAccountName": owner.engine_name,
        "automountServiceAccountToken": False,
        # A Service called `vllm` would set VLLM_PORT=tcp://... in its own pods, and vLLM would refuse to start.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": int(spec.rollout.drain_timeout_seconds + STOP_MARGIN_SECONDS),
        "initContainers": [
            _runtime_container(blueprint),
            *([_compile_cache_container(blueprint, compile_cache)] if compile_cache else ()),
            *fetching,
        ],
        "containers": [_engine_container(blueprint, location, served, compile_cache)],
        "volumes": [*_volumes(blueprint), *location.volumes, *fetching_volumes],
    }
    if profile.runtime_class_name:
        pod["runtimeClassName"] = profile.runtime_class_name
    if profile.node_selector:
        pod["nodeSelector"] = profile.node_selector
    if profile.tolerations:
        pod["tolerations"] = _tolerations(blueprint)
    return {"metadata": metadata, "spec": _overridden(blueprint, pod)}


def engine_arguments(blueprint: Blueprint) -> list[str]:
    """Return what follows `vllm serve`."""
    return arguments(blueprint.spec, name=blueprint.owner.name, places=locate(blueprint).places)


def _overridden(blueprint: Blueprint, pod: Manifest) -> Manifest:
    """The pod with spec.template laid over it.

    The profile's tolerations stay: they belong to the device, and a list without them would leave the pod without a node. Containers of other
    people get what the restricted profile asks of each, where they say nothing else.
    """
    overrides = blueprint.spec.template.spec
    shape = pod_template().fields["spec"]
    result: Manifest = merged(pod, overrides, shape)
    if blueprint.profile.tolerations and overrides.get("tolerations") is not None:
        given = _tolerations(blueprint)
        result["tolerations"] = [*given, *(item for item in overrides["tolerations"] if item not in given)]
    ours = {container["name"] for part in ("initContainers", "containers") for container in pod[part]}
    for part in ("initContainers", "containers"):
        inner = shape.fields[part].inner or Shape("map")
        result[part] = [container if container.get("name") in ours else _theirs(container, inner) for container in result[part]]
    return result


def _theirs(container: Manifest, shape: Shape) -> Manifest:
    return {**container, **merged({"securityContext": without_privileges()}, {"securityContext": container.get("securityContext", {})}, shape)}


def _engine_container(blueprint: Blueprint, location: Location, served: list[str], compile_cache: str | None) -> Manifest:
    spec = blueprint.spec
    mounts: list[Manifest] = [
        {"name": names.VOLUME_RUNTIME, "mountPath": names.RUNTIME_DIR, "readOnly": True},
        {"name": names.VOLUME_HOME, "mountPath": names.HOME_DIR},
        {"name": names.VOLUME_TMP, "mountPath": names.TMP_DIR},
        {"name": names.VOLUME_SHM, "mountPath": names.SHM_DIR},
        *location.mounts,
    ]
    if compile_cache:
        mounts.append({"name": names.VOLUME_MODEL, "mountPath": names.COMPILE_CACHE_DIR, "subPath": compile_cache})
    container: Manifest = {
        "name": names.ENGINE_CONTAINER,
        "image": blueprint.image,
        "command": ["python3", f"{names.RUNTIME_DIR}/runtime.pyz"],
        "args": [
            "launch",
            f"--drain-timeout-seconds={spec.rollout.drain_timeout_seconds:g}",
            f"--minimum-drain-seconds={blueprint.platform.minimum_drain_seconds:g}",
            f"--port={names.LAUNCHER_PORT}",
            f"--engine-port={names.ENGINE_PORT}",
            f"--start-timeout-seconds={spec.engine.start_timeout_seconds}",
            f"--max-request-bytes={quantity_bytes(spec.engine.max_request_size)}",
            *_expected_accelerators(blueprint),
            *([f"--adapters={adapters.LIST_FILE}"] if spec.adapters.enabled else ()),
            "--",
            "vllm",
            "serve",
            *served,
        ],
        "env": _environment(blueprint, location),
        "ports": [
            {"name": names.PORT_HTTP, "containerPort": names.ENGINE_PORT, "protocol": "TCP"},
            {"name": names.PORT_LAUNCHER, "containerPort": names.LAUNCHER_PORT, "protocol": "TCP"},
        ],
        # The launcher answers from its first second and knows whether vLLM lives and answers: no start-up probe is needed.
        # A launcher that hangs itself would use up all of the pod's grace period before it is killed: the probe has a shorter one.
        "livenessProbe": {**_probe("/livez", period_seconds=10), "terminationGracePeriodSeconds": STOP_MARGIN_SECONDS},
        "readinessProbe": _probe("/readyz", period_seconds=2),
        "securityContext": container_security(),
        # What ends without the launcher's word (the kernel's out-of-memory kill, a missing interpreter) still says something.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    if environment_from := [*location.environment_from, *(item.to_wire() for item in spec.engine.env_from)]:
        container["envFrom"] = environment_from
    if blueprint.profile.resource_name:
        # The number follows from the parallelism: two fields that can disagree would leave accelerators idle.
        container["resources"] = {"limits": {blueprint.profile.resource_name: str(spec.parallelism.accelerators_per_pod)}}
    return container


def _expected_accelerators(blueprint: Blueprint) -> list[str]:
    """What the launcher looks for before it starts vLLM, of NVIDIA's devices alone.

    The capability is what the specification asks for, not what the profile says: the generic profile says none, and a node may have another device.
    """
    spec, profile = blueprint.spec, blueprint.profile
    if profile.vendor is not Vendor.NVIDIA or profile.resource_name is None:
        return []
    lowest = lowest_capability(spec.quantization.method, spec.quantization.kv_cache)
    return [
        f"--accelerators={spec.parallelism.accelerators_per_pod}",
        *([f"--minimum-capability={lowest // 10}.{lowest % 10}"] if lowest is not None else ()),
    ]


def _runtime_container(blueprint: Blueprint) -> Manifest:
    return {
        "name": names.RUNTIME_CONTAINER,
        "image": blueprint.platform.runtime_image,
        "command": ["python3", "/llmfleet-runtime/runtime.pyz", "install", names.RUNTIME_DIR],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": names.VOLUME_RUNTIME, "mountPath": names.RUNTIME_DIR}],
    }


def _compile_cache_container(blueprint: Blueprint, directory: str) -> Manifest:
    """Make the directory as the engine's own user: one that the kubelet makes for a subPath is root's, with the mode of the volume's root."""
    make = "import os, sys; os.umask(0o002); os.makedirs(sys.argv[1], exist_ok=True)"
    return {
        "name": names.COMPILE_CACHE_CONTAINER,
        "image": blueprint.platform.runtime_image,
        "command": ["python3", "-c", make, f"{names.MODEL_DIR}/{directory}"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": names.VOLUME_MODEL, "mountPath": names.MODEL_DIR}],
    }


def _environment(blueprint: Blueprint, location: Location) -> list[Manifest]:
    """Ours, then the profile's, then what the sources need, then the user's: a later one of the same name wins, in the place of the first."""
    spec = blueprint.spec
    variables: dict[str, Manifest] = {}

    def add(name: str, value: str) -> None:
        variables[name] = EnvVar(name=name, value=value).to_wire()

    # An arbitrary uid has no passwd entry in other images: vLLM calls getpass and needs both.
    add("HOME", names.HOME_DIR)
    add("USER", "vllm")
    add("VLLM_NO_USAGE_STATS", "1")
    if spec.adapters.enabled:
        # For the launcher alone: the middleware lets nobody else load or unload.
        add(reserved.ADAPTER_UPDATES, "true")
    if cache_claim(blueprint) is not None:
        # vLLM puts torch's and Triton's caches below it (vllm/compilation/compiler_interface.py, 0.32).
        add("VLLM_CACHE_ROOT", names.COMPILE_CACHE_DIR)
    # Sorted, as the API server keeps a map: a profile rendered from a file and the cluster's make the same pod.
    for name, value in sorted(blueprint.profile.env.items()):
        # The variable would override the flag that the field becomes.
        if name != reserved.CPU_KV_CACHE or spec.engine.kv_cache_memory is None:
            add(name, value)
    variables |= {variable["name"]: variable for variable in location.environment}
    variables |= {variable.name: variable.to_wire() for variable in spec.engine.env}
    return list(variables.values())


def _compile_cache(blueprint: Blueprint, served: list[str]) -> str:
    """Directory on the cache's claim: what was compiled is good for one image on one kind of device with one set of arguments.

    Of the profile only what the pod has anyway: a memory or a capability that is corrected must not replace the engines.
    """
    profile = blueprint.profile
    content = {"image": blueprint.image, "device": [profile.resource_name, profile.node_selector], "arguments": served}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return f"{CACHE_ROOT}/compile/{digest}"


def _volumes(blueprint: Blueprint) -> list[Manifest]:
    ranks = blueprint.spec.parallelism.accelerators_per_pod
    return [
        {"name": names.VOLUME_RUNTIME, "emptyDir": {}},
        {"name": names.VOLUME_HOME, "emptyDir": {}},
        {"name": names.VOLUME_TMP, "emptyDir": {}},
        {"name": names.VOLUME_SHM, "emptyDir": {"medium": "Memory", "sizeLimit": f"{SHM_BASE_MIB + SHM_PER_RANK_MIB * ranks}Mi"}},
    ]


def _tolerations(blueprint: Blueprint) -> list[Manifest]:
    return [item.to_wire() for item in blueprint.profile.tolerations]


def _probe(path: str, *, period_seconds: int) -> Manifest:
    # A busy node answers late, seldom not at all: 5 s and three failures, or a probe restarts an engine that is only working hard.
    return {"httpGet": {"path": path, "port": names.PORT_LAUNCHER}, "periodSeconds": period_seconds, "timeoutSeconds": 5, "failureThreshold": 3}


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{name}={digest}" for name, digest in sorted(pairs))
