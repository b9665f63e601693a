"""The chart's values.schema.json, generated: `python -m llmfleet.server.values_schema` prints it, `make generate` writes it.

The keys under `operator` are the fields of Settings, so a setting cannot be forgotten in the chart; the other keys are the chart's own and stand here with
their descriptions. A key that is not known is refused by Helm, because a misspelt value is otherwise silently ignored.
"""

import copy
import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from llmfleet.server.settings import Settings

SET_BY_THE_CHART: Final = frozenset({"namespace", "identity", "runtime_image", "service_name", "certificate_secret", "lease_name", "metrics_api", "admission"})
"""Settings that follow from the release's name, the pod or another value; not values under `operator`."""

_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""The newest draft that both Helm 3 and Helm 4 know."""

Quantity = Annotated[str | float, Field(description="A Kubernetes quantity: 500m, 2, 16Gi.")]


class _Values(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True)


class Image(_Values):
    """Image of the operator."""

    repository: Annotated[str, Field(min_length=1)]
    """Name with its registry, without a tag."""
    tag: str
    """Tag; empty is the chart's appVersion."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    """When nodes pull it."""


class RuntimeImage(_Values):
    """Image of the init container that brings the launcher into engine pods."""

    repository: Annotated[str, Field(min_length=1)]
    """Name with its registry, without a tag."""
    tag: str
    """Tag; empty is the chart's appVersion."""


class PullSecret(_Values):
    """A Secret with which images are pulled."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the Secret in the release's namespace."""


class MetricsApi(_Values):
    """The custom metrics API, from which HPAs read their demand."""

    enabled: bool
    """Serve it; a cluster has one adapter of that group."""


class AdmissionWebhook(_Values):
    """The validating webhook: kubectl says at once what the operator would say in a condition."""

    enabled: bool
    """Register it; while no operator answers, objects are stored unseen and looked at later."""


class Crds(_Values):
    """The custom resource definitions."""

    install: bool
    """Install and upgrade them with the release; they stay when it is uninstalled."""


class ServiceAccount(_Values):
    """The operator's ServiceAccount."""

    annotations: dict[str, str]
    """Its annotations."""


class Resources(_Values):
    """Compute resources of an operator pod."""

    requests: dict[str, Quantity]
    """What the scheduler sets aside."""
    limits: dict[str, Quantity]
    """Most that it may use."""


class Toleration(_Values):
    """A taint that the operator's pods put up with."""

    key: str
    """Key of the taint; absent with operator Exists tolerates all."""
    operator: Literal["Exists", "Equal"]
    """How value is compared."""
    value: str
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """Effect of the taint; absent is every effect."""
    toleration_seconds: int
    """Seconds for which NoExecute is put up with."""


class Values(_Values):
    """Values of the llmfleet chart."""

    replicas: Annotated[int, Field(ge=0)]
    """Operator pods: all watch, scrape and serve metrics; one, the leader, writes."""
    image: Image
    runtime_image: RuntimeImage
    image_pull_secrets: list[PullSecret]
    """Secrets with which the operator's image is pulled."""
    metrics_api: MetricsApi
    admission: AdmissionWebhook
    crds: Crds
    service_account: ServiceAccount
    priority_class_name: str
    """PriorityClass of the operator's pods."""
    resources: Resources
    node_selector: dict[str, str]
    """Labels of the nodes on which the operator may run."""
    tolerations: list[Toleration]
    """Taints that the operator's pods put up with."""
    affinity: dict[str, Any]
    """Affinity of the operator's pods, as in a pod."""
    global_: Annotated[dict[str, Any], Field(alias="global")]
    """Values that Helm hands to every chart when this one is a dependency of another; not used."""


def schema() -> dict[str, Any]:
    """Return the JSON schema of the chart's values."""
    fields: dict[str, Any] = {name: (field.annotation, copy.copy(field)) for name, field in Settings.model_fields.items() if name not in SET_BY_THE_CHART}
    operator = create_model("Operator", __base__=_Values, __doc__="Settings of the operator's process: environment variables LLMFLEET_*.", **fields)
    values = create_model("Values", __base__=Values, __doc__=Values.__doc__, operator=(operator, ...))
    generated = values.model_json_schema(by_alias=True, mode="validation")
    tidy: dict[str, Any] = _tidy(generated)
    return {"$schema": _DRAFT, **tidy}


def _tidy(node: Any) -> Any:
    """Drop what says nothing in a values file: pydantic's titles, and `required`, because every value has its default in values.yaml."""
    if isinstance(node, dict):
        return {
            key: {name: _tidy(part) for name, part in value.items()} if key in ("properties", "$defs") else _tidy(value)
            for key, value in node.items()
            if key not in ("title", "required")
        }
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    return node


def rendered() -> str:
    """Return the file's content."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(rendered(), end="")  # noqa: T201 the output is the file
