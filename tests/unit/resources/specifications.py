"""Specifications whose rendering is reviewed line by line, each for one thing. Every one of them passes the checks."""

from typing import Any

TOKEN = {"secretKeyRef": {"name": "hf", "key": "token"}}
KEY = {"secretKeyRef": {"name": "keys", "key": "one"}}

SPECS: dict[str, dict[str, Any]] = {
    "minimal-cpu-pvc": {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}},
    "nvidia-tensor-pipeline": {
        "model": {"source": "hf://org/model@main", "credentials": TOKEN},
        "parallelism": {"tensor": 2, "pipeline": 2},
        "rollout": {"drainTimeout": "1h30m"},
        "template": {
            "spec": {
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "volumes": [{"name": "extra", "emptyDir": {}}],
                "containers": [{"name": "engine", "resources": {"limits": {"memory": "8Gi"}}, "volumeMounts": [{"name": "extra", "mountPath": "/extra"}]}],
            }
        },
    },
    "autoscaling-behavior": {
        "model": {"source": "hf://org/model"},
        "autoscaling": {"maxReplicas": 4, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "tolerance": "50m"}}},
    },
    "environment-from-configmap": {
        "model": {"source": "hf://org/model"},
        "engine": {
            "env": [{"name": "HF_HOME", "value": "/cache"}, {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}],
            "envFrom": [{"prefix": "X_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "more"}}],
        },
    },
    "cache-named-claim": {
        "model": {"source": "hf://org/model@v1", "credentials": TOKEN, "cache": {"claimName": "models"}},
        "engine": {
            "env": [
                {"name": "HF_ENDPOINT", "value": "https://mirror.example"},
                {"name": "https_proxy", "value": "http://proxy:3128"},
                {"name": "SSL_CERT_FILE", "value": "/etc/authorities/ca.crt"},
            ]
        },
        "template": {
            "spec": {
                "imagePullSecrets": [{"name": "pull"}],
                "tolerations": [{"key": "pool", "operator": "Exists"}],
                "volumes": [{"name": "authorities", "configMap": {"name": "authorities"}}, {"name": "scratch", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "engine",
                        "volumeMounts": [{"name": "authorities", "mountPath": "/etc/authorities"}, {"name": "scratch", "mountPath": "/scratch"}],
                    }
                ],
            }
        },
    },
    "cache-storage-s3": {
        "model": {
            "source": "s3://bucket/models/llama",
            "credentials": {"secretRef": {"name": "aws"}},
            "cache": {"storage": "100Gi", "storageClassName": "shared"},
        },
    },
    "s3-streamed": {"model": {"source": "s3://bucket/llama", "credentials": {"secretRef": {"name": "aws"}}}},
    "gs-key-file": {"model": {"source": "gs://bucket/llama", "credentials": {"secretKeyRef": {"name": "google", "key": "account.json"}}}},
    "oci-image": {"model": {"source": "oci://registry.example/models/llama:1"}},
    "modelscope-tokenizer": {
        "model": {
            "source": "modelscope://org/model@v2",
            "tokenizer": "modelscope://org/tokenizer@v3",
            "credentials": {"secretKeyRef": {"name": "modelscope", "key": "token"}},
        },
    },
    "chat-template": {"model": {"source": "hf://org/model", "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "chat.jinja"}}}},
    "draft-on-the-models-claim": {
        "model": {"source": "pvc://models/large"},
        "engine": {"speculative": {"method": "eagle3", "model": "pvc://models/draft", "tokens": 3}},
    },
    "adapters-of-every-source": {
        "model": {"source": "hf://org/model", "credentials": TOKEN},
        "adapters": {
            "maxRank": 16,
            "items": [
                {"name": "hub", "source": "hf://org/lora@main"},
                {"name": "bucket", "source": "s3://bucket/lora", "credentials": {"secretRef": {"name": "aws"}}},
                {"name": "google", "source": "gs://bucket/lora", "credentials": {"secretKeyRef": {"name": "google", "key": "account.json"}}},
                {"name": "first-on-claim", "source": "pvc://loras/one"},
                {"name": "second-on-claim", "source": "pvc://loras/two"},
                {"name": "image", "source": "oci://registry.example/lora:1"},
            ],
        },
    },
    "adapter-on-the-models-claim": {
        "model": {"source": "pvc://models/tiny"},
        "accelerator": {"profile": "cpu"},
        "adapters": {"items": [{"name": "sql", "source": "pvc://models/loras/sql"}]},
    },
    "api-keys": {"model": {"source": "hf://org/model"}, "access": {"apiKeys": [KEY, {"secretKeyRef": {"name": "keys", "key": "two"}}]}},
    "cpu-kv-cache-memory": {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}, "engine": {"kvCacheMemory": "1536Mi"}},
    "template-whole-pod": {
        "model": {"source": "hf://org/model"},
        "accelerator": {"profile": "nvidia-h100-80gb"},
        "parallelism": {"tensor": 2, "data": 2, "expert": True},
        "template": {
            "metadata": {"labels": {"team": "chat"}, "annotations": {"example.com/contact": "us"}},
            "spec": {
                "nodeSelector": {"nvidia.com/gpu.product": None, "cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
                "priorityClassName": "inference",
                "securityContext": {"runAsUser": None, "fsGroup": 1000},
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
                "volumes": [{"name": "logs", "emptyDir": {}}],
                "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
                "containers": [
                    {"name": "logs", "image": "logs:1", "volumeMounts": [{"name": "logs", "mountPath": "/logs"}], "securityContext": {"runAsUser": 1000}},
                    {
                        "name": "engine",
                        "imagePullPolicy": "Always",
                        "resources": {"requests": {"cpu": 8, "memory": "64Gi"}},
                        "volumeMounts": [{"name": "logs", "mountPath": "/home/vllm/logs"}],
                        "ports": [{"name": "zmq", "containerPort": 5557}],
                    },
                ],
            },
        },
    },
}
