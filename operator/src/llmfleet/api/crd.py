"""The CustomResourceDefinitions, generated from the models: the one source of crds/."""

import json
from typing import Any, Final

import yaml

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfile, AcceleratorProfileObject
from llmfleet.api.structural import structural
from llmfleet.api.v1alpha1 import LLMService, LLMServiceSpec, LLMServiceStatus
from llmfleet.api.v1alpha1.service import NAME_PATTERN, NAME_RULE, ONE_OWNER_OF_REPLICAS

HEADER: Final = "# Generated from operator/src/llmfleet/api by `llmfleet crds --output-dir crds`. Do not edit.\n"


def _condition(field: str) -> str:
    return f'.status.conditions[?(@.type=="{names.ConditionType.READY}")].{field}'


COLUMNS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "Ready", "type": "string", "jsonPath": _condition("status"), "description": "Every wanted replica of this generation answers."},
    {"name": "Reason", "type": "string", "jsonPath": _condition("reason"), "description": "Why it is ready or not."},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas", "description": "Replicas that exist."},
    {"name": "Answering", "type": "integer", "jsonPath": ".status.readyReplicas", "description": "Replicas that answer."},
    {"name": "Model", "type": "string", "jsonPath": ".spec.model.source", "description": "Where the model comes from."},
    {"name": "Download", "type": "string", "jsonPath": ".status.model.cache.progress", "description": "How far the cache is filled; empty where none is."},
    {"name": "URL", "type": "string", "jsonPath": ".status.endpoint.url", "priority": 1, "description": "Base URL for OpenAI clients."},
    {"name": "Engine", "type": "string", "jsonPath": ".status.engine.version", "priority": 1, "description": "vLLM's version."},
    {"name": "Message", "type": "string", "jsonPath": _condition("message"), "priority": 1, "description": "Why it is ready or not, in words."},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
"""What `kubectl get llm` shows; priority 1 only with -o wide."""

PROFILE_COLUMNS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "Resource", "type": "string", "jsonPath": ".spec.resourceName", "description": "What a pod asks for."},
    {"name": "Memory", "type": "string", "jsonPath": ".spec.memory", "description": "Memory of one device."},
    {"name": "Capability", "type": "string", "jsonPath": ".spec.computeCapability", "description": "NVIDIA's compute capability."},
    {"name": "Per Node", "type": "integer", "jsonPath": ".spec.perNode", "description": "Devices of one node."},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
"""What `kubectl get accel` shows."""


def llmservice_crd() -> dict[str, Any]:
    """The CustomResourceDefinition as JSON-ready values."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.LLMSERVICES}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.LLMSERVICE,
                "listKind": f"{names.LLMSERVICE}List",
                "plural": names.LLMSERVICES,
                "singular": names.LLMSERVICE.lower(),
                "shortNames": ["llm"],
                "categories": ["llmfleet"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": list(COLUMNS),
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def accelerator_profile_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of AcceleratorProfile as JSON-ready values. Without a status: nothing is found out about it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.ACCELERATOR_PROFILES}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": names.ACCELERATOR_PROFILE,
                "listKind": f"{names.ACCELERATOR_PROFILE}List",
                "plural": names.ACCELERATOR_PROFILES,
                "singular": names.ACCELERATOR_PROFILE.lower(),
                "shortNames": ["accel"],
                "categories": ["llmfleet"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": list(PROFILE_COLUMNS),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": (AcceleratorProfileObject.__doc__ or "").strip(),
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": structural(AcceleratorProfile),
                            },
                        }
                    },
                }
            ],
        },
    }


def crds() -> tuple[tuple[str, str], ...]:
    """Every file of crds/, as name (in the manner of controller-gen) and content."""
    return tuple((f"{names.GROUP}_{crd['spec']['names']['plural']}.yaml", _file(crd)) for crd in (llmservice_crd(), accelerator_profile_crd()))


def _file(crd: dict[str, Any]) -> str:
    without_shared_parts = json.loads(json.dumps(crd))  # or YAML would write anchors
    return HEADER + yaml.safe_dump(without_shared_parts, sort_keys=False, width=160, allow_unicode=True)


def _root() -> dict[str, Any]:
    """The object's schema; metadata is the API server's, which lets a rule at the root read no more than its name."""
    return {
        "type": "object",
        "description": (LLMService.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(LLMServiceSpec),
            "status": structural(LLMServiceStatus),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {names.MAX_NAME_LENGTH} && self.metadata.name.matches(r'{NAME_PATTERN}')",
                "fieldPath": ".metadata.name",
                "message": NAME_RULE,
            },
            {
                "rule": "!(has(self.spec.replicas) && has(self.spec.autoscaling))",
                "fieldPath": ".spec.replicas",
                "message": ONE_OWNER_OF_REPLICAS,
                "messageExpression": _with_name(ONE_OWNER_OF_REPLICAS),
            },
        ],
    }


def _with_name(message: str) -> str:
    """A CEL expression that puts the object's name where NAME stands, so that the command in the message can be copied."""
    before, after = message.split("NAME")
    return f'r"""{before}""" + self.metadata.name + r"""{after}"""'
