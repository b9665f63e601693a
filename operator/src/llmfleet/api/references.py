"""References to keys of other objects and to the pod's own fields, in Kubernetes' words."""

from typing import Annotated

from pydantic import Field

from llmfleet.api.wire import Key, ObjectName, Wire


class SecretKeyRef(Wire):
    """A key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Key
    """Key in the Secret's data."""


class ConfigMapKeyRef(Wire):
    """A key of a ConfigMap in the same namespace; new content rolls out."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: Key
    """Key in the ConfigMap's data."""


class LocalRef(Wire):
    """An object of the same namespace, whole."""

    name: ObjectName
    """Name of the object."""


class FieldRef(Wire):
    """A field of the pod itself."""

    field_path: Annotated[str, Field(min_length=1, max_length=256)]
    """Path as in a pod: metadata.name, status.podIP, spec.nodeName, ..."""
