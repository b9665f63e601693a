"""Every name that crosses a border: labels, annotations, ports, condition types, reasons, metrics. Declared once, each with its sentence."""

from enum import StrEnum
from typing import Final

# --- The API ---------------------------------------------------------------------------------------------------------

GROUP: Final = "llmfleet.dev"
"""API group of everything that people write, and the prefix of every label and annotation of ours."""

VERSION: Final = "v1alpha1"
"""The only version of the API so far."""

API_VERSION: Final = f"{GROUP}/{VERSION}"
"""`apiVersion` of an LLMService."""

LLMSERVICE: Final = "LLMService"
"""Kind: one model behind one OpenAI-compatible endpoint."""

LLMSERVICES: Final = "llmservices"
"""Plural of LLMService, as in URLs and RBAC rules."""

ACCELERATOR_PROFILE: Final = "AcceleratorProfile"
"""Kind: one kind of device, for the whole cluster."""

ACCELERATOR_PROFILES: Final = "acceleratorprofiles"
"""Plural of AcceleratorProfile, as in URLs and RBAC rules."""

MAX_NAME_LENGTH: Final = 50
"""Longest name of an LLMService: children append up to 13 characters and stay DNS-1035 labels (63)."""

# --- Who writes ------------------------------------------------------------------------------------------------------

FIELD_MANAGER: Final = "llmfleet"
"""Field manager of every server-side apply to a child."""

STATUS_FIELD_MANAGER: Final = "llmfleet-status"
"""Field manager of the status of an LLMService; apart from the children's, so that a child's entry is never mistaken for it."""

# --- Labels and annotations ------------------------------------------------------------------------------------------

LABEL_NAME: Final = "app.kubernetes.io/name"
"""Recommended label; the model server: always `vllm`."""

LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
"""Recommended label; the LLMService's name."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""Recommended label; the watches select on it, so an object that loses it is seen as deleted, and is looked at again."""

MANAGED_BY: Final = "llmfleet"
"""Value of LABEL_MANAGED_BY on every child and pod."""

LABEL_SERVICE: Final = f"{GROUP}/service"
"""The LLMService's name, on children and pods; with the namespace it is the owner's key."""

LABEL_ROLE: Final = f"{GROUP}/role"
"""What a pod or a Job is for: `engine`, `inspect` or `download`. Part of the selectors: a user's labels never are."""

LABEL_REVISION: Final = f"{GROUP}/revision"
"""On the pod template: hash of its content, so that a pod tells which specification it runs without a look at its ReplicaSet."""

ROLE_ENGINE: Final = "engine"
"""A pod that runs vLLM and answers requests."""

ROLE_INSPECT: Final = "inspect"
"""A Job, and its pod, that reads the model's configuration and the sizes of its weights."""

ROLE_DOWNLOAD: Final = "download"
"""A Job, and its pods, that fills a claim with the model."""

ANNOTATION_APPLIED: Final = f"{GROUP}/applied"
"""Hash of the manifest as rendered; a child whose hash and field ownership are as rendered needs no write."""

ANNOTATION_CONFIG: Final = f"{GROUP}/config"
"""On the pod template: hash of the content of referenced ConfigMaps, so that new content rolls out."""

ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
"""On a Job that takes the place of a failed one: which attempt it is, from 2. The delay before the next one grows with it."""

ANNOTATION_LAST_FAILURE: Final = f"{GROUP}/last-failure"
"""On such a Job: what the one before ended with, as JSON (`reason`, `message`), so that what is shown holds still while it is tried again."""

# --- The pod ---------------------------------------------------------------------------------------------------------

ENGINE_SUFFIX: Final = "-engine"
"""The workload, its HPA, PodDisruptionBudget and ServiceAccount are `<name>-engine`; the client Service is `<name>`."""

ENGINE_CONTAINER: Final = "engine"
"""Container that runs the launcher and, as its child, vLLM."""

RUNTIME_CONTAINER: Final = "runtime"
"""Init container that copies the runtime's zipapp into the shared volume."""

RUNTIME_DIR: Final = "/llmfleet"
"""Where the runtime's zipapp lies in the engine's container."""

INSPECT_CONTAINER: Final = "inspect"
"""Container of an inspection's pod."""

DOWNLOAD_CONTAINER: Final = "download"
"""Container of a download's pods."""

ADAPTERS_CONTAINER: Final = "adapters-"
"""Sidecars that fetch the adapters, one for each set of credentials, numbered by it; 0 has the model's, or none."""

ADAPTERS_SUFFIX: Final = "-adapters"
"""The ConfigMap that lists the adapters is `<name>-adapters`."""

ADAPTERS_KEY: Final = "adapters.json"
"""Its only key."""

ADAPTERS_LIST_DIR: Final = "/adapter-list"
"""Where that ConfigMap is mounted in the engine's container and the sidecars."""

VOLUME_ADAPTERS_LIST: Final = "llmfleet-adapter-list"
"""Volume at ADAPTERS_LIST_DIR."""

COMPILE_CACHE_CONTAINER: Final = "compile-cache"
"""Init container that makes the directory for compiled graphs on the cache's claim."""

MODEL_DIR: Final = "/models"
"""Where the volume with the model is mounted, read-only: the claim or image of its source, or the cache."""

CLAIMS_DIR: Final = "/claims"
"""Where further claims are mounted, read-only, each below its name: those of adapters and of the draft model."""

IMAGES_DIR: Final = "/images"
"""Where further images are mounted, read-only, each below a digest of its reference: no image is ever found where another one was."""

ADAPTERS_DIR: Final = "/adapters"
"""Where fetched adapters lie, each below a digest of its source."""

CHAT_TEMPLATE_DIR: Final = "/chat-template"
"""Where the ConfigMap of spec.model.chatTemplate is mounted."""

CREDENTIALS_DIR: Final = "/credentials"
"""Where the key file of a service account is mounted."""

COMPILE_CACHE_DIR: Final = "/compile-cache"
"""Where compiled graphs and kernels are kept on the claim of spec.model.cache: VLLM_CACHE_ROOT."""

HOME_DIR: Final = "/home/vllm"
"""Home of the stock image's user `vllm`; caches and compiled kernels go below it."""

TMP_DIR: Final = "/tmp"  # noqa: S108 a volume of the pod
"""Scratch space: the root file system is read-only."""

SHM_DIR: Final = "/dev/shm"  # noqa: S108 a volume of the pod
"""Shared memory between the ranks of one replica."""

VOLUME_RUNTIME: Final = "llmfleet-runtime"
"""Volume at RUNTIME_DIR."""

VOLUME_HOME: Final = "llmfleet-home"
"""Volume at HOME_DIR."""

VOLUME_TMP: Final = "llmfleet-tmp"
"""Volume at TMP_DIR."""

VOLUME_SHM: Final = "llmfleet-shm"
"""Volume at SHM_DIR, in memory."""

VOLUME_PREFIX: Final = "llmfleet-"
"""What the names of the operator's volumes begin with."""

VOLUME_MODEL: Final = "llmfleet-model"
"""Volume at MODEL_DIR."""

VOLUME_CLAIM: Final = "llmfleet-claim-"
"""Volumes below CLAIMS_DIR, numbered."""

VOLUME_IMAGE: Final = "llmfleet-image-"
"""Volumes below IMAGES_DIR, numbered."""

VOLUME_ADAPTERS: Final = "llmfleet-adapters"
"""Volume at ADAPTERS_DIR."""

VOLUME_CHAT_TEMPLATE: Final = "llmfleet-chat-template"
"""Volume at CHAT_TEMPLATE_DIR."""

VOLUME_CREDENTIALS: Final = "llmfleet-credentials"
"""Volume at CREDENTIALS_DIR; with a number behind it those of an adapter."""

ENGINE_PORT: Final = 8000
"""vLLM's OpenAI server."""

LAUNCHER_PORT: Final = 8001
"""The launcher: /readyz, /livez, /report."""

SERVICE_PORT: Final = 80
"""Port of the client Service."""

PORT_HTTP: Final = "http"
"""Name of vLLM's port in pod and Service."""

PORT_LAUNCHER: Final = "launcher"
"""Name of the launcher's port in the pod."""

PORT_PROGRESS: Final = "progress"
"""Name of a download's port, of the launcher's number: /report."""

ENV_API_KEY: Final = "LLMFLEET_API_KEY_"
"""Variables of the engine's container that hold spec.access.apiKeys, numbered; its arguments name them and the kubelet puts the keys in."""

ENV_CREDENTIALS: Final = "LLMFLEET_CREDENTIALS"
"""Variable of a container that fetches: where its credentials come from, in words for its messages."""

# --- Conditions ------------------------------------------------------------------------------------------------------


class ConditionType(StrEnum):
    """Condition types of an LLMService, in the order in which they are shown (kstatus reads the first three)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ACCEPTED = "Accepted"
    MODEL_READY = "ModelReady"
    ADAPTERS_READY = "AdaptersReady"
    AVAILABLE = "Available"
    AUTOSCALING_ACTIVE = "AutoscalingActive"


class Reason(StrEnum):
    """Reasons of conditions: a closed list; a person can look each up in the docs."""

    SERVING = "Serving"
    """Every wanted replica answers."""
    STOPPED = "Stopped"
    """replicas is 0, and nothing runs."""
    VALID = "Valid"
    """The checks pass."""
    INVALID = "Invalid"
    """A check or the API server refuses the specification."""
    DOES_NOT_FIT = "DoesNotFit"
    """The model does not fit the accelerators, not even by the kindest estimate."""
    INSPECTING = "Inspecting"
    """The model's configuration and the sizes of its weights are being read."""
    DOWNLOADING = "Downloading"
    """The cache is being filled."""
    CACHED = "Cached"
    """The cache holds the whole model."""
    MODEL_UNAVAILABLE = "ModelUnavailable"
    """The model cannot be read from its source; the message says why and what to do."""
    ROLLING_OUT = "RollingOut"
    """The current generation is not on every replica yet."""
    LOADING = "Loading"
    """Replicas are starting: pulling, loading weights, warming up."""
    NO_REPLICA_ANSWERS = "NoReplicaAnswers"
    """No replica is ready."""
    UP_TO_DATE = "UpToDate"
    """Nothing is under way."""
    PROGRESSING = "Progressing"
    """Nothing is in the way: not stalled."""
    FOREIGN_OBJECT = "ForeignObject"
    """An object of a child's name exists that is not ours; it is left alone."""
    CHILD_REFUSED = "ChildRefused"
    """The API server refuses a child that is not the workload (quota, admission, ill-typed)."""
    API_ERROR = "ApiError"
    """The API server fails to take a child, again and again; the message is its own."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """An image of the pod cannot be pulled."""
    UNSCHEDULABLE = "Unschedulable"
    """The scheduler finds no node; the message is the scheduler's."""
    CRASH_LOOP = "CrashLoop"
    """The engine ends again and again; the message is the engine's own error line."""
    POD_REFUSED = "PodRefused"
    """The workload cannot create pods (quota, pod security, missing account); the message is the controller's."""
    CONFIG_ERROR = "ConfigError"
    """A Secret, ConfigMap or key that the pod refers to does not exist."""
    DEGRADED = "Degraded"
    """The new specification fails to start; replicas of the one before serve on. The message names both."""
    HELD = "Held"
    """The revision failed three times without a single answer: nothing more is tried until the specification changes."""
    ADAPTERS_LOADED = "AdaptersLoaded"
    """Every replica that answers has loaded every adapter."""
    ADAPTERS_LOADING = "AdaptersLoading"
    """Adapters are being fetched or loaded."""
    ADAPTER_FAILED = "AdapterFailed"
    """An adapter cannot be fetched or loaded; the model and the other adapters answer."""
    SCALING = "Scaling"
    """The HPA reads the demand and scales."""
    NO_METRIC = "NoMetric"
    """The HPA gets no demand and holds the replicas."""
    SCALING_DISABLED = "ScalingDisabled"
    """Someone set the workload's replicas to 0: the HPA stands still."""


# --- The metric that the HPA reads -----------------------------------------------------------------------------------

METRIC_DEMAND: Final = "demand"
"""Replicas that the work in sight asks for; the HPA's Object metric with AverageValue 1."""

METRIC_QUEUE_DEPTH: Final = "queue_depth"
"""Requests waiting in all replicas; for people's own HPAs."""

METRIC_IN_FLIGHT: Final = "in_flight"
"""Requests in all replicas, from their first byte on: arriving, waiting and running; for people's own HPAs."""
