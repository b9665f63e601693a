"""The models of llmfleet.dev/v1alpha1; one module per part of the spec, all names here."""

from llmfleet.api.references import ConfigMapKeyRef, FieldRef, SecretKeyRef
from llmfleet.api.v1alpha1.autoscaling import Autoscaling, Behavior, InFlight, QueueDepth, ScalingPolicy, ScalingRules
from llmfleet.api.v1alpha1.engine import Engine, EnvVar, EnvVarSource, Rollout
from llmfleet.api.v1alpha1.model import Credentials, Model, Parallelism, Quantization
from llmfleet.api.v1alpha1.service import LLMService, LLMServiceSpec, ObjectMeta
from llmfleet.api.v1alpha1.status import AutoscalingStatus, Condition, Decision, Endpoint, EngineStatus, LLMServiceStatus
from llmfleet.api.v1alpha1.template import Accelerator, EngineContainer, PodSpecOverrides, PodTemplate, Resources, Toleration, Volume, VolumeMount

__all__ = [
    "Accelerator",
    "Autoscaling",
    "AutoscalingStatus",
    "Behavior",
    "Condition",
    "ConfigMapKeyRef",
    "Credentials",
    "Decision",
    "Endpoint",
    "Engine",
    "EngineContainer",
    "EngineStatus",
    "EnvVar",
    "EnvVarSource",
    "FieldRef",
    "InFlight",
    "LLMService",
    "LLMServiceSpec",
    "LLMServiceStatus",
    "Model",
    "ObjectMeta",
    "Parallelism",
    "PodSpecOverrides",
    "PodTemplate",
    "Quantization",
    "QueueDepth",
    "Resources",
    "Rollout",
    "ScalingPolicy",
    "ScalingRules",
    "SecretKeyRef",
    "Toleration",
    "Volume",
    "VolumeMount",
]
