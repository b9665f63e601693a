"""The configuration files of a node's programs, as pure functions of the node: text in, nothing done."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.components import DNS_SERVICE_IP
from e2e.cluster.node import POD_RANGE, Node
from e2e.cluster.pki import Pki

PAUSE_IMAGE = "localhost/pause:1"
CNI_PLUGINS = "/usr/lib/cni"  # where Debian's package puts them


def containerd(node: Node) -> str:
    """Return containerd's TOML: every folder, socket and mount below the node's own folders."""
    return f"""version = 2
root = "{node.containerd_root}"
state = "{node.containerd_state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", \
"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{node.socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  # Inside a container without CAP_SYS_RESOURCE a process cannot make itself less likely to be killed.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{node.state / "registries"}"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{node.containerd_state / "runc"}"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{node.state / "cni"}"
"""


def registries() -> str:
    """Return containerd's hosts.toml for every registry: a port of the node where nobody listens.

    All images are loaded, none is pulled. Without this a missing one is asked for on the internet, and each attempt holds up the next pod for ten seconds.
    """
    return """server = "http://127.0.0.1:9"

[host."http://127.0.0.1:9"]
  capabilities = ["pull", "resolve"]
"""


def cni(node: Node) -> str:
    """Return the pod network: one bridge per node, addresses handed out by a folder of the node's state."""
    network = {
        "cniVersion": "0.4.0",
        "name": f"llmfleet-{node.name}",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,  # a pod that calls its own Service
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(node.cni_addresses),
                    "ranges": [[{"subnet": node.pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    return json.dumps(network, indent=1)


def kubelet(node: Node, pki: Pki) -> str:
    """Return the kubelet's configuration, for control groups of either version.

    No group per pod and no reserved resources: this works inside a container whose own groups cannot be delegated, and it means that the resource
    limits of pods are counted by the scheduler but not enforced by the kernel beyond the container's own.
    """
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        # It panics without groups of pods, when a pod is deleted while it starts; see addons.apply_pod_policy.
        "featureGates": {"InPlacePodLevelResourcesVerticalScaling": False},
        "enforceNodeAllocatable": [],
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(pki.certificate("ca"))}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki.certificate(node.name)),
        "tlsPrivateKeyFile": str(pki.key(node.name)),
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "port": node.kubelet_port,
        "healthzPort": node.kubelet_health_port,
        "podLogsDir": str(node.pod_logs),
        "volumePluginDir": str(node.state / "volume-plugins"),
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "failSwapOn": False,
        "syncFrequency": "10s",  # a mounted ConfigMap follows its object within this time, not within the usual minute: tests wait for it
        "evictionHard": {},  # a developer's full disk must not evict the pods under test
        "imageGCHighThresholdPercent": 100,  # nothing could pull a deleted image again
        "imageMinimumGCAge": "8760h",
    }
    return json.dumps(configuration, indent=1)


def kube_proxy(node: Node, kubeconfig: Path) -> str:
    """Return kube-proxy's configuration; conntrack limits 0 leave the machine's own alone."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": node.name,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return json.dumps(configuration, indent=1)
