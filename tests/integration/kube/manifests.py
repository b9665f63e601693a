"""One manifest of each kind of child, with everything in it that the API server merges in a way of its own."""

from copy import deepcopy
from typing import Any

from llmfleet import names
from llmfleet.kube.objects import Object

KINDS = ("ServiceAccount", "Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ConfigMap")


def manifest(kind: str, namespace: str) -> Object:
    metadata: Object = {
        "namespace": namespace,
        "name": "x",
        "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_SERVICE: "x"},
        "ownerReferences": [
            # Of a kind that no cluster knows: what belongs to nobody of a known kind, the garbage collector takes away under the test.
            {"apiVersion": "example.com/v1", "kind": "Owner", "name": "x", "uid": "11111111-2222", "controller": True, "blockOwnerDeletion": True}
        ],
    }
    api_version, content = CONTENT[kind]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **deepcopy(content)}


PROBE = {"httpGet": {"path": "/readyz", "port": "launcher", "httpHeaders": [{"name": "a", "value": "b"}]}, "periodSeconds": 2, "failureThreshold": 3}
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"], "add": []}}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}, "annotations": {names.ANNOTATION_CONFIG: "a=b"}},
    "spec": {
        "serviceAccountName": "x",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "runtimeClassName": "nvidia",
        "priorityClassName": "",
        "terminationGracePeriodSeconds": 90,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 2000,
            "fsGroup": 0,
            "supplementalGroups": [1, 2],
            "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {"kubernetes.io/os": "linux", "gpu": "h100"},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node", "operator": "Equal", "value": "a", "effect": "NoExecute", "tolerationSeconds": 30},
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a", "b"]}]}]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}}],
            },
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}]
            },
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "x"}},
                "matchLabelKeys": ["a"],
            }
        ],
        "imagePullSecrets": [{"name": "pull"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}],
        "initContainers": [
            {
                "name": "runtime",
                "image": "llmfleet-runtime:1",
                "command": ["python3", "runtime.pyz"],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": RESTRICTED,
                "volumeMounts": [{"name": "runtime", "mountPath": "/llmfleet"}],
            },
            {"name": "sidecar", "image": "sidecar:1", "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}},
        ],
        "containers": [
            {
                "name": "engine",
                "image": "vllm:1",
                "command": ["python3", "/llmfleet/runtime.pyz"],
                "args": ["launch", "--", "vllm", "serve"],
                "env": [
                    {"name": "HOME", "value": "/home/vllm"},
                    {"name": "EMPTY", "value": ""},
                    {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token", "optional": True}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
                    {"name": "DEBUG", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "debug"}}},
                ],
                "envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}],
                "ports": [
                    {"name": "http", "containerPort": 8000, "protocol": "TCP"},
                    {"name": "launcher", "containerPort": 8001},
                    {"name": "udp", "containerPort": 8000, "protocol": "UDP"},
                ],
                "readinessProbe": PROBE,
                "livenessProbe": PROBE,
                "startupProbe": {"tcpSocket": {"port": 8000}},
                "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"nvidia.com/gpu": "2"}, "claims": [{"name": "gpu", "request": "one"}]},
                "securityContext": RESTRICTED,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeDevices": [],
                "volumeMounts": [
                    {"name": "runtime", "mountPath": "/llmfleet", "readOnly": True},
                    {"name": "shm", "mountPath": "/dev/shm"},
                    {"name": "model", "mountPath": "/models", "readOnly": True},
                    {"name": "settings", "mountPath": "/etc/settings", "subPath": "a"},
                ],
            }
        ],
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        "volumes": [
            {"name": "runtime", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1536Mi"}},
            {"name": "model", "persistentVolumeClaim": {"claimName": "model", "readOnly": True}},
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a", "path": "a"}], "defaultMode": 420}},
            {"name": "secret", "secret": {"secretName": "hf", "optional": True}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "audience": "x", "expirationSeconds": 3600}},
                        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "b"}]}},
                        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    ]
                },
            },
            {
                "name": "scratch",
                "ephemeral": {
                    "volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
                },
            },
        ],
    },
}

CONTENT: dict[str, tuple[str, dict[str, Any]]] = {
    "ServiceAccount": ("v1", {"automountServiceAccountToken": False, "imagePullSecrets": [{"name": "pull"}]}),
    "Service": (
        "v1",
        {
            "spec": {
                "selector": {"app": "x", "role": "engine"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}, {"name": "second", "port": 81, "targetPort": 8001}],
                "publishNotReadyAddresses": False,
            }
        },
    ),
    "Deployment": (
        "apps/v1",
        {
            "spec": {
                "selector": {"matchLabels": {"app": "x"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
                "progressDeadlineSeconds": 3600,
                "revisionHistoryLimit": 3,
                "template": TEMPLATE,
            }
        },
    ),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2",
        {
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
                "minReplicas": 1,
                "maxReplicas": 4,
                "metrics": [
                    {
                        "type": "Object",
                        "object": {
                            "describedObject": {"apiVersion": names.API_VERSION, "kind": "LLMService", "name": "x"},
                            "metric": {"name": "demand", "selector": {"matchLabels": {"a": "b"}}},
                            "target": {"type": "AverageValue", "averageValue": "1"},
                        },
                    }
                ],
                "behavior": {
                    "scaleUp": {
                        "tolerance": "0",
                        "stabilizationWindowSeconds": 0,
                        "selectPolicy": "Max",
                        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}],
                    },
                    "scaleDown": {"tolerance": "0", "stabilizationWindowSeconds": 60},
                },
            }
        },
    ),
    "PodDisruptionBudget": (
        "policy/v1",
        {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}},
    ),
    "ConfigMap": ("v1", {"data": {"adapters.json": '[{"name": "a", "path": "/adapters/b"}]'}}),
}
