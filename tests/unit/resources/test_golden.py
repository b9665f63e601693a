"""What the operator would apply, byte for byte. Regenerate with `UPDATE_GOLDEN=1 pytest tests/unit/resources`, and read the difference."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.reconcile.desired import Accepted, Installation, desired
from llmfleet.resources.blueprint import Platform

GOLDEN = Path(__file__).parent / "golden"
INSTALLATION = Installation(Platform("registry.example/runtime:1", 3), built_in_profiles(), "nvidia")

SPECS: dict[str, dict[str, Any]] = {
    "minimal-cpu-pvc": {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}},
    "nvidia-tensor-pipeline": {
        "model": {"source": "hf://org/model@main", "credentials": {"secretKeyRef": {"name": "hf", "key": "token"}}},
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
        "engine": {"env": [{"name": "HF_HOME", "value": "/cache"}, {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}]},
    },
}


@pytest.mark.parametrize("name", SPECS)
def test_children_are_rendered_as_reviewed(name: str) -> None:
    raw = {
        "apiVersion": "llmfleet.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": "qwen", "namespace": "chat", "uid": "u1"},
        "spec": SPECS[name],
    }
    configuration = {"settings": "0123456789abcdef"} if "configmap" in name else {}
    decision = desired(raw, INSTALLATION, configuration)
    assert isinstance(decision, Accepted), decision
    rendered = yaml.safe_dump_all(decision.children, sort_keys=False, width=150)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rendered)
    assert path.read_text() == rendered
