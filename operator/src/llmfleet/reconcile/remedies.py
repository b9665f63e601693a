"""What to do about what the cluster says of a pod: the field of the LLMService that decides it, where Kubernetes only names the symptom. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from llmfleet import names
from llmfleet.resources.blueprint import Manifest

_PULLS: Final = (
    (r"no match for platform|no matching manifest", "the image has no variant for the node's processor"),
    (r"not found|manifest unknown|does not exist", "the registry has no such image"),
    (
        r"unauthorized|denied|forbidden|authentication|credentials|insufficient_scope",
        "the registry refuses, and without credentials may refuse what does not exist",
    ),
    (r"toomanyrequests|too many requests", "the registry limits the rate of pulls"),
    (r"no space left", "the node's disk is full"),
    (r"x509|certificate", "the node does not trust the registry's certificate"),
    (r"no such host|dial tcp|timeout|refused|unreachable|connection reset", "the registry cannot be reached from the node"),
)
"""What the kubelet hands on of the container runtime's words (containerd, CRI-O), in both of its waiting reasons since Kubernetes 1.32 (kubernetes #127918),
and what it means. The words themselves change with every attempt: addresses, ports."""

_OF_IMAGE: Final = "correct spec.engine.image or spec.engine.version; for a private registry add spec.template.spec.imagePullSecrets"
_OF_RUNTIME: Final = "correct runtimeImage in the values of the llmfleet chart; the namespaces of services must be able to pull it"

_OF_OURS: Final = frozenset({names.RUNTIME_CONTAINER, names.INSPECT_CONTAINER, names.DOWNLOAD_CONTAINER, names.COMPILE_CACHE_CONTAINER})
"""Containers of the runtime's image, beside those that fetch adapters."""

_CONFIGURATION: Final = (
    (r"^secret ", "create the Secret, or correct its name in spec.model.credentials, spec.access.apiKeys, spec.adapters.items, spec.engine.env or envFrom"),
    (r"^configmap ", "create the ConfigMap, or correct its name in spec.model.chatTemplate, spec.engine.env or envFrom"),
    (r"couldn't find key", "add the key to it, or correct the key in the field that names it"),
    (r"executable file not found|no such file or directory", "let spec.engine.image name an image with vLLM and Python 3.11 or newer in it"),
    (r"runAsNonRoot|non-numeric user|run as root", "let spec.template.spec.securityContext.runAsUser name a user of the image that is not root"),
)
"""What the kubelet says of a container that it cannot make (kubernetes, pkg/kubelet/kuberuntime), and what to do."""

_SCHEDULING: Final = (
    (r"untolerated taint", "add spec.template.spec.tolerations, or choose a spec.accelerator.profile whose nodes have no such taint"),
    (r"didn't match Pod's node affinity/selector", "label a node so, or correct {selector}"),
    (r"persistentvolumeclaim \S+ not found", "create the claim, or correct its name in spec.model.source or spec.model.cache"),
    (r"unbound immediate PersistentVolumeClaims", "give the claim a volume: its storage class must exist and be able to make one"),
    (r"volume node affinity conflict", "the claim's volume is on other nodes than the ones with room: use a storage class that every node can mount"),
    (r"didn't have free ports", "leave hostNetwork and hostPort of spec.template.spec off"),
)
"""What the scheduler's plugins say of the nodes (kubernetes, pkg/scheduler/framework/plugins), and what to do."""

_INSUFFICIENT: Final = re.compile(r"Insufficient ([\w./-]*\w)")

_REFUSED: Final = (
    (
        r"^Evicted: .*ephemeral-storage",
        "keep the model on a claim with spec.model.cache, or have spec.template.spec request the ephemeral-storage that it needs",
    ),
    (r"^Evicted: .*memory", "have spec.template.spec request the memory that the engine needs, so that it is placed where there is as much"),
    (r"(?i)^Evicted: .*emptydir", "raise the sizeLimit of that volume in spec.template.spec.volumes"),
    (r"^UnexpectedAdmissionError: .*devices", "the node's device plugin and the scheduler disagree about free devices: see that the device plugin is well"),
    (r"^Preempt", "a pod of a higher priority took the place: give spec.template.spec.priorityClassName one that is high enough"),
    (r"^(?:OutOf|NodeAffinity|NodeName)", "another pod or a change of the node was faster; a new one is scheduled by itself"),
    (r"^(?:Terminated|NodeShutdown|Shutdown)", "the node is shutting down; a new one is scheduled by itself"),
)
"""Reasons and messages of pods that failed as a whole (kubernetes, pkg/kubelet/eviction, pkg/kubelet/lifecycle, pkg/kubelet/nodeshutdown), and what to do."""


QUOTA: Final = "exceeded quota"
"""What the API server says where a pod is one too many for its namespace, and for nothing else (kubernetes, apiserver/pkg/admission/plugin/resourcequota)."""

_CREATION: Final = (
    (QUOTA, "raise the ResourceQuota of the namespace, or lower spec.replicas, spec.autoscaling.maxReplicas or the requests in spec.template.spec"),
    (r"violates PodSecurity", "leave out what spec.template.spec adds beyond the profile of the namespace, or label the namespace for another one"),
    (r"usage per (?:Container|Pod)", "the LimitRange of the namespace forbids it: change it, or the requests and limits in spec.template.spec"),
    (r"no PriorityClass", "create the PriorityClass, or correct spec.template.spec.priorityClassName"),
    (r"error looking up service account|serviceaccount \S+ not found", "create the account, or leave serviceAccountName out of spec.template.spec"),
    (r"denied the request", "the policy behind that webhook forbids it: change the policy, or what it names in spec.template.spec"),
)
"""What admission says of the pods that a workload's controller makes (kubernetes, plugin/pkg/admission), and what to do."""

_NAMED_POD: Final = re.compile(r'pods "[^"]*" is forbidden')


def of_image(container: str, words: str) -> str:
    """Return why an image cannot be pulled, as far as the kubelet's words tell, and what to do; the same for both faces of a failed pull."""
    meaning = next((f" ({meaning})" for pattern, meaning in _PULLS if re.search(pattern, words, re.IGNORECASE)), "")
    if container == names.ENGINE_CONTAINER:
        remedy = _OF_IMAGE
    elif container in _OF_OURS or container.startswith(names.ADAPTERS_CONTAINER):
        remedy = _OF_RUNTIME
    else:
        remedy = "correct its image in spec.template.spec"
    return f"{meaning}; {remedy}"


def of_configuration(words: str) -> str:
    """Return what to do about a container that cannot be made."""
    return next((f"; {remedy}" for pattern, remedy in _CONFIGURATION if re.search(pattern, words)), "")


def of_scheduling(pod: Manifest, words: str) -> str:
    """Return what the pod asks for of what no node has enough, and what to do."""
    selector = _selector(pod)
    remedies = [remedy.format(selector=selector) for pattern, remedy in _SCHEDULING if re.search(pattern, words)]
    return "".join(f"; {remedy}" for remedy in (*_insufficient(pod, words), *remedies))


def with_creation(words: str) -> str:
    """Return the words of a controller that cannot make pods, without the pod's name, which is another at every attempt, and what to do."""
    said = _NAMED_POD.sub("a pod is forbidden", words)
    return said + next((f"; {remedy}" for pattern, remedy in _CREATION if re.search(pattern, words)), "")


def of_refusal(words: str) -> str:
    """Return what to do about a pod that failed as a whole."""
    return next((f"; {remedy}" for pattern, remedy in _REFUSED if re.search(pattern, words)), "")


def _insufficient(pod: Manifest, words: str) -> Iterator[str]:
    for resource in dict.fromkeys(_INSUFFICIENT.findall(words)):
        asked = next((f"a replica asks for {amount} {resource}" for amount in _amounts(pod, resource)), f"the pod asks for more {resource} than is free")
        lower = "the requests in spec.template.spec" if "/" not in resource else "spec.parallelism"
        yield f"{asked} on one node: free as much or add a node that has it, or lower {lower}"


def _amounts(pod: Manifest, resource: str) -> Iterator[str]:
    """The engine's container comes first: it asks for nearly all that a pod asks for."""
    containers = pod.get("spec", {}).get("containers", ())
    for container in sorted(containers, key=lambda container: container.get("name") != names.ENGINE_CONTAINER):
        resources = container.get("resources", {})
        amount = resources.get("requests", {}).get(resource) or resources.get("limits", {}).get(resource)
        if amount is not None:
            yield str(amount)


def _selector(pod: Manifest) -> str:
    wanted = pod.get("spec", {}).get("nodeSelector", {})
    labels = ", ".join(f"{key}={value}" for key, value in sorted(wanted.items()))
    said = "spec.accelerator.profile or spec.template.spec.nodeSelector and affinity"
    return f"{said} (node selector {labels})" if labels else said
