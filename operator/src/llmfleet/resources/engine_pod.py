"""The pod that answers requests: vLLM's stock image, run by our launcher, under the restricted pod security profile.

docs/engine-pod.md is the contract with the runtime; what a person may change of the pod is merged last.
"""

from collections.abc import Iterable
from typing import Any, Final

from llmfleet import names
from llmfleet.api import source
from llmfleet.api.v1alpha1 import EnvVar, PodSpecOverrides, Resources
from llmfleet.planning import reserved
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.vllm.arguments import Place, Places, arguments

ENGINE_UID: Final = 2000
"""The user `vllm` of the stock image (group 0, so that an arbitrary claim of that group is readable)."""

STOP_MARGIN_SECONDS: Final = 30
"""Between the end of draining and the kubelet's SIGKILL: the launcher ends vLLM within 10 s, and its report must get out."""

SHM_BASE_MIB: Final = 1024
SHM_PER_RANK_MIB: Final = 512
"""vLLM's multiprocessing executor refuses to start below 160 + 240 x ranks MiB of /dev/shm (0.32, measured); NCCL and what a
killed container left behind need room too. It is a limit, not a reservation."""


def template(blueprint: Blueprint) -> Manifest:
    """Return the pod template of an engine replica."""
    owner, spec, overrides = blueprint.owner, blueprint.spec, blueprint.spec.template.spec
    metadata: Manifest = {"labels": owner.labels | owner.selector}
    if blueprint.configuration:
        metadata["annotations"] = {names.ANNOTATION_CONFIG: _joined(blueprint.configuration.items())}
    pod: Manifest = {
        "serviceAccountName": owner.engine_name,
        "automountServiceAccountToken": False,
        # A Service called `vllm` would set VLLM_PORT=tcp://... in its own pods, and vLLM would refuse to start.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": ENGINE_UID,
            "runAsGroup": 0,
            "fsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": int(spec.rollout.drain_timeout_seconds + STOP_MARGIN_SECONDS),
        "initContainers": [_runtime_container(blueprint)],
        "containers": [_engine_container(blueprint, overrides)],
        "volumes": [*_volumes(blueprint), *(volume.to_wire() for volume in overrides.volumes)],
    }
    if blueprint.profile.runtime_class_name:
        pod["runtimeClassName"] = blueprint.profile.runtime_class_name
    if node_selector := {**blueprint.profile.node_selector, **overrides.node_selector}:
        pod["nodeSelector"] = node_selector
    if tolerations := [item.to_wire() for item in (*blueprint.profile.tolerations, *overrides.tolerations)]:
        pod["tolerations"] = tolerations
    return {"metadata": metadata, "spec": pod}


def engine_arguments(blueprint: Blueprint) -> list[str]:
    """Return what follows `vllm serve`."""
    origin = source.parse(blueprint.spec.model.source)
    if isinstance(origin, source.Claim):
        place = Place(f"{names.MODEL_DIR}/{origin.path}".rstrip("/"))
    elif isinstance(origin, source.Repository):
        place = Place(origin.repository, origin.revision)
    else:
        place = Place(blueprint.spec.model.source)
    return arguments(blueprint.spec, name=blueprint.owner.name, places=Places(place))


def _engine_container(blueprint: Blueprint, overrides: PodSpecOverrides) -> Manifest:
    spec = blueprint.spec
    changes = next((container for container in overrides.containers if container.name == names.ENGINE_CONTAINER), None)
    mounts = [
        {"name": names.VOLUME_RUNTIME, "mountPath": names.RUNTIME_DIR, "readOnly": True},
        {"name": names.VOLUME_HOME, "mountPath": names.HOME_DIR},
        {"name": names.VOLUME_TMP, "mountPath": names.TMP_DIR},
        {"name": names.VOLUME_SHM, "mountPath": names.SHM_DIR},
    ]
    if isinstance(source.parse(spec.model.source), source.Claim):
        mounts.append({"name": names.VOLUME_MODEL, "mountPath": names.MODEL_DIR, "readOnly": True})
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
            "--",
            "vllm",
            "serve",
            *engine_arguments(blueprint),
        ],
        "env": _environment(blueprint),
        "ports": [
            {"name": names.PORT_HTTP, "containerPort": names.ENGINE_PORT, "protocol": "TCP"},
            {"name": names.PORT_LAUNCHER, "containerPort": names.LAUNCHER_PORT, "protocol": "TCP"},
        ],
        # The launcher answers from its first second and knows whether vLLM lives and answers: no start-up probe is needed.
        # A launcher that hangs itself would use up all of the pod's grace period before it is killed: the probe has a shorter one.
        "livenessProbe": {**_probe("/livez", period_seconds=10), "terminationGracePeriodSeconds": STOP_MARGIN_SECONDS},
        "readinessProbe": _probe("/readyz", period_seconds=2),
        "securityContext": _restricted(),
        # What ends without the launcher's word (the kernel's out-of-memory kill, a missing interpreter) still says something.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, *(mount.to_wire() for mount in (changes.volume_mounts if changes else ()))],
    }
    if resources := _resources(blueprint, changes.resources if changes else None):
        container["resources"] = resources
    return container


def _runtime_container(blueprint: Blueprint) -> Manifest:
    return {
        "name": names.RUNTIME_CONTAINER,
        "image": blueprint.platform.runtime_image,
        "command": ["python3", "/llmfleet-runtime/runtime.pyz", "install", names.RUNTIME_DIR],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": names.VOLUME_RUNTIME, "mountPath": names.RUNTIME_DIR}],
    }


def _environment(blueprint: Blueprint) -> list[Manifest]:
    """Ours, then the profile's, then the user's: a later one of the same name wins, in the place of the first."""
    spec = blueprint.spec
    variables: dict[str, Manifest] = {}

    def add(variable: EnvVar) -> None:
        variables[variable.name] = variable.to_wire()

    # An arbitrary uid has no passwd entry in other images: vLLM calls getpass and needs both.
    add(EnvVar(name="HOME", value=names.HOME_DIR))
    add(EnvVar(name="USER", value="vllm"))
    add(EnvVar(name="VLLM_NO_USAGE_STATS", value="1"))
    if isinstance(source.parse(spec.model.source), source.Claim):
        add(EnvVar(name="HF_HUB_OFFLINE", value="1"))
    for name, value in blueprint.profile.env.items():
        add(EnvVar(name=name, value=value))
    if spec.model.credentials is not None:
        reference = spec.model.credentials.secret_key_ref.to_wire()
        variables[reserved.HUB_TOKEN] = {"name": reserved.HUB_TOKEN, "valueFrom": {"secretKeyRef": reference}}
    for variable in spec.engine.env:
        add(variable)
    return list(variables.values())


def _volumes(blueprint: Blueprint) -> list[Manifest]:
    ranks = blueprint.spec.parallelism.accelerators_per_pod
    volumes: list[Manifest] = [
        {"name": names.VOLUME_RUNTIME, "emptyDir": {}},
        {"name": names.VOLUME_HOME, "emptyDir": {}},
        {"name": names.VOLUME_TMP, "emptyDir": {}},
        {"name": names.VOLUME_SHM, "emptyDir": {"medium": "Memory", "sizeLimit": f"{SHM_BASE_MIB + SHM_PER_RANK_MIB * ranks}Mi"}},
    ]
    origin = source.parse(blueprint.spec.model.source)
    if isinstance(origin, source.Claim):
        volumes.append({"name": names.VOLUME_MODEL, "persistentVolumeClaim": {"claimName": origin.claim, "readOnly": True}})
    return volumes


def _resources(blueprint: Blueprint, wanted: Resources | None) -> Manifest:
    resources: dict[str, dict[str, Any]] = wanted.to_wire() if wanted is not None else {}
    if blueprint.profile.resource_name:
        # The number follows from the parallelism: two fields that can disagree would leave accelerators idle.
        count = str(blueprint.spec.parallelism.accelerators_per_pod)
        resources["limits"] = {**resources.get("limits", {}), blueprint.profile.resource_name: count}
    return {key: value for key, value in resources.items() if value}


def _probe(path: str, *, period_seconds: int) -> Manifest:
    # A busy node answers late, seldom not at all: 5 s and three failures, or a probe restarts an engine that is only working hard.
    return {"httpGet": {"path": path, "port": names.PORT_LAUNCHER}, "periodSeconds": period_seconds, "timeoutSeconds": 5, "failureThreshold": 3}


def _restricted() -> Manifest:
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{name}={digest}" for name, digest in sorted(pairs))
