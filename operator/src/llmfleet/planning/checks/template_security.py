"""spec.template stays within the restricted pod security profile (kubernetes.io, "Pod Security Standards").

Told here because the ReplicaSet would tell it, of pods that it cannot make; and who may write an LLMService need not be one who may write other pods.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from llmfleet.planning import reserved
from llmfleet.planning.checks import template
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

RULE: Final = "is not allowed by the restricted pod security profile"

ADDED_CAPABILITIES: Final = ("NET_BIND_SERVICE",)
PROFILES: Final = ("RuntimeDefault", "Localhost")
"""Types of seccomp and AppArmor profiles."""

SELINUX_TYPES: Final = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")

SYSCTLS: Final = (
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies"),
    *("net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout"),
    *("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
)


def unrestricted_security(subject: Subject) -> Iterator[Violation]:
    """Security contexts of the pod and of each of its containers, and ways into the node's network."""
    pod = subject.spec.template.spec
    if isinstance(context := pod.get("securityContext"), Mapping):
        yield from _shared(context, f"{template.ROOT}.securityContext")
        for index, sysctl in enumerate(template.maps(context.get("sysctls"))):
            if sysctl.get("name") not in SYSCTLS:
                yield _refused(f"{template.ROOT}.securityContext.sysctls[{index}]", sysctl.get("name"), "remove it")
    for path, container in template.containers(pod):
        if isinstance(context := container.get("securityContext"), Mapping):
            yield from _shared(context, f"{path}.securityContext")
            yield from _container(context, f"{path}.securityContext")
        for index, port in enumerate(template.maps(container.get("ports"))):
            if port.get("hostPort"):
                yield _refused(f"{path}.ports[{index}].hostPort", port["hostPort"], "remove it: the Service leads to the pod")


def unrestricted_volumes(subject: Subject) -> Iterator[Violation]:
    """Volumes reach no further than the profile lets them, and make no credentials."""
    for index, volume in enumerate(template.maps(subject.spec.template.spec.get("volumes"))):
        field, name = f"{template.ROOT}.volumes[{index}]", str(volume.get("name", ""))
        for kind in reserved.UNRESTRICTED_VOLUMES:
            if kind in volume:
                rule = "is no kind of volume that the restricted pod security profile allows"
                yield Violation(f"{field}.{kind}", name, rule, "have a PersistentVolume made of it, and use its claim (persistentVolumeClaim)")
        projected = volume.get("projected")
        for source_index, given in enumerate(template.maps(projected.get("sources") if isinstance(projected, Mapping) else None)):
            for source in reserved.IDENTITY_SOURCES:
                if source in given:
                    rule = "would hand the identity of a service account to the engine"
                    yield Violation(f"{field}.projected.sources[{source_index}].{source}", name, rule, "remove it: an engine needs no access to the cluster")


def _shared(context: Mapping[str, object], path: str) -> Iterator[Violation]:
    """What pods and containers have in common. A null takes a setting of ours away."""
    if context.get("runAsNonRoot", True) is not True:
        yield _refused(f"{path}.runAsNonRoot", context["runAsNonRoot"], "remove it")
    if context.get("runAsUser") == 0:
        yield _refused(f"{path}.runAsUser", 0, "name another user, or remove it for the image's `vllm` (2000)")
    for field in ("seccompProfile", "appArmorProfile"):
        profile = context.get(field, {})
        if (profile is None and field == "seccompProfile") or (isinstance(profile, Mapping) and profile.get("type", PROFILES[0]) not in PROFILES):
            yield _refused(f"{path}.{field}", profile.get("type") if profile else None, f"choose type {' or '.join(PROFILES)}")
    if isinstance(selinux := context.get("seLinuxOptions"), Mapping):
        for field in ("user", "role"):
            if selinux.get(field):
                yield _refused(f"{path}.seLinuxOptions.{field}", selinux[field], "remove it")
        if selinux.get("type") and selinux["type"] not in SELINUX_TYPES:
            yield _refused(f"{path}.seLinuxOptions.type", selinux["type"], f"choose one of {', '.join(SELINUX_TYPES)}")
    if context.get("windowsOptions"):
        yield _refused(f"{path}.windowsOptions", None, "remove it: engines run on Linux")


def _container(context: Mapping[str, object], path: str) -> Iterator[Violation]:
    for field in ("allowPrivilegeEscalation", "privileged"):
        if context.get(field, False) is not False:
            yield _refused(f"{path}.{field}", context[field], "remove it")
    if context.get("procMount", "Default") != "Default":
        yield _refused(f"{path}.procMount", context["procMount"], "remove it")
    capabilities = context.get("capabilities", {})
    if not isinstance(capabilities, Mapping):
        yield _refused(f"{path}.capabilities", None, "remove it: the profile asks for drop: [ALL]")
        return
    added, dropped = capabilities.get("add"), capabilities.get("drop", ["ALL"])
    for capability in added if isinstance(added, list) else ():
        if capability not in ADDED_CAPABILITIES:
            yield _refused(f"{path}.capabilities.add", capability, "remove it")
    if dropped is None or (isinstance(dropped, list) and "ALL" not in dropped):
        yield _refused(f"{path}.capabilities.drop", None, "let it contain ALL, or remove it")


def _refused(field: str, value: object, remedy: str) -> Violation:
    return Violation(field, "" if value is None else str(value), RULE, remedy)
