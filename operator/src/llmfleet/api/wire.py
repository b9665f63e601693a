"""The base of every model that people write or read, and the types that Kubernetes' conventions ask for.

Two representations and one convention: in Python attributes are snake_case, on the wire camelCase; `to_wire()` is the only way out
and `model_validate(..., by_alias=True, by_name=False)` (planning.parse) the only way in for people's data. What the operator wrote itself comes back by
`from_wire()`.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

QUANTITY_PATTERN: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$"
"""Kubernetes' own grammar of a quantity (apimachinery resource.Quantity) without a sign: a negative resource is an error."""

QUANTITY_EXPECTED: Final = "must be a Kubernetes quantity such as 500m, 2 or 16Gi"

DNS_1123_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""Names of volumes and ports."""

DNS_1123_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""Names of Secrets, ConfigMaps and claims; dots in a row are left to the API server."""

DNS_1123_SUBDOMAIN_EXPECTED: Final = "must be the name of an object: small letters, digits, - and ., with a letter or digit at both ends"


class Wire(BaseModel):
    """A frozen model: unknown fields are errors, because nothing may be silently ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """The object as JSON-ready values: camelCase, without absent fields, lists and maps that are empty by default included only when set."""
        wire: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> Self | None:
        """The object that to_wire wrote; None where there is none, or one that cannot be read because another version wrote it."""
        try:
            return cls.model_validate(wire, strict=True, by_alias=True, by_name=False)
        except ValidationError:
            return None


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Schema extra of CEL rules; each pair is (rule, message), and the message names the remedy."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def list_map(*keys: str) -> dict[str, Any]:
    """Schema extra of a list whose items are named: server-side apply merges it item by item instead of replacing it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def int_or_string(pattern: str, *, minimum: int, max_length: int, expected: str) -> dict[str, Any]:
    """Schema of an integer or a string, the only union that a structural schema can express.

    A rule instead of `pattern` and `minimum`, because a refusal by those shows the regular expression and says nothing.
    """
    return {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "maxLength": max_length,
        **rules((f"type(self) == int ? self >= {minimum} : self.matches(r'{pattern}')", expected)),
    }


@dataclass(frozen=True)
class Matching:
    """Annotation of a string that must match a pattern from end to end, whose refusal is a sentence, here and by the API server.

    A rule instead of `pattern`, because a refusal by that shows the regular expression and says nothing.
    """

    pattern: str
    expected: str
    """What it must be, as it goes on from the field's name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The check, after the string's own."""
        return core_schema.no_info_after_validator_function(self._matched, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The same as a rule in CEL."""
        return {**handler(schema), **rules((f"self.matches(r'{self.pattern}')", self.expected))}

    def _matched(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(self.expected)
        return value


def _quantity(value: object) -> str:
    """A quantity as a string; integers are accepted as Kubernetes accepts them."""
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(QUANTITY_PATTERN, text):
        raise ValueError(QUANTITY_EXPECTED)
    return text


Quantity = Annotated[str, PlainValidator(_quantity), WithJsonSchema(int_or_string(QUANTITY_PATTERN, minimum=0, max_length=32, expected=QUANTITY_EXPECTED))]
"""An amount of a resource, kept as it was written: `1Gi` and `1024Mi` are compared by Kubernetes, never by us."""

ObjectName = Annotated[str, Matching(DNS_1123_SUBDOMAIN, DNS_1123_SUBDOMAIN_EXPECTED), Field(min_length=1, max_length=253)]
"""Name of another object in the same namespace."""

Key = Annotated[str, Matching(r"^[-._a-zA-Z0-9]+$", "must be a key of a Secret or ConfigMap: letters, digits, -, _ and ."), Field(min_length=1, max_length=253)]
"""Key of a Secret or ConfigMap."""

ImageName = Annotated[
    str, Matching(r"^[^\s]+$", "must be the name of an image, without blanks, such as vllm/vllm-openai:v0.32.0"), Field(min_length=1, max_length=512)
]
"""Image of a container."""

VariableName = Annotated[
    str, Matching(r"^[A-Za-z_][A-Za-z0-9_]*$", "must be the name of a variable: letters, digits and _, no digit first"), Field(min_length=1, max_length=253)
]
"""Name of an environment variable, or its beginning."""

_WORD: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"
_KEY_EXPECTED: Final = "must be a word, or a domain, / and a word, such as team or example.com/team; words have at most 63 letters, digits, -, _ and ."

LabelKey = Annotated[str, Matching(rf"^({_DOMAIN})?{_WORD}$", _KEY_EXPECTED), Field(min_length=1, max_length=317)]
"""Key of a label or a taint (apimachinery, util/validation: IsQualifiedName)."""

AnnotationKey = Annotated[str, Matching(rf"(?i)^({_DOMAIN})?{_WORD}$", _KEY_EXPECTED), Field(min_length=1, max_length=317)]
"""Key of an annotation, whose domain may have capitals."""

LabelValue = Annotated[
    str,
    Matching(rf"^({_WORD})?$", "must be a label's value: at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"),
    Field(max_length=63),
]
"""Value of a label (IsValidLabelValue)."""
