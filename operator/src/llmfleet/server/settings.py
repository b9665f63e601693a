"""What an installation may set: environment variables `LLMFLEET_*`, and the source of the chart's values schema."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """Settings of one operator process. The chart sets each from the value of the same camelCase name under `operator`."""

    model_config = SettingsConfigDict(env_prefix="LLMFLEET_", frozen=True, use_attribute_docstrings=True, extra="ignore")

    namespace: str
    """Namespace of the operator itself: its Lease and the Secret of its serving certificate live there."""

    identity: str
    """Name of this process in the Lease; the pod's name."""

    runtime_image: str
    """Image of the init container that copies the runtime into engine pods."""

    service_name: str = "llmfleet"
    """Service in front of the operator's TLS port, whose certificate carries its DNS names; the ValidatingWebhookConfiguration has the same name."""

    certificate_secret: str = "llmfleet-certificate"  # noqa: S105 a name, not a secret
    """Secret in which the operator keeps its own certificate authority and serving certificate."""

    lease_name: str = "llmfleet"
    """Lease by which the replicas agree on who writes."""

    default_profile: str = "nvidia"
    """Accelerator profile of services that name none."""

    log_level: LogLevel = LogLevel.INFO
    """How much is logged, as JSON lines on standard output."""

    workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Services reconciled at the same time."""

    resync_seconds: Annotated[float, Field(ge=10)] = 300
    """How often everything is listed again, to find what the watches missed."""

    scrape_interval_seconds: Annotated[float, Field(ge=1, le=5)] = 5
    """How often the engines' queues are read; a sample counts for 15 s, so one may be missed."""

    minimum_drain_seconds: Annotated[float, Field(ge=0, le=60)] = 3
    """How long a stopping engine pod keeps serving at least, so that every node has taken it out of its routes."""

    health_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Plain HTTP: /healthz, /readyz and the operator's own /metrics."""

    tls_port: Annotated[int, Field(ge=1, le=65535)] = 8443
    """TLS, for the API server alone: the custom metrics API, and admission."""

    metrics_api: bool = True
    """Serve the custom metrics API; without it, autoscaling holds the replicas."""

    admission: bool = True
    """Answer the API server's question whether an object may be stored; without it, what is wrong is said in a condition."""
