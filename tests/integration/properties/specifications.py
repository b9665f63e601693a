"""Specifications made from the schema of the whole API and the flags of a catalogue: most of each is plausible, some of it is wrong.

Drawn from a seeded generator and not by hypothesis: twenty thousand of them cost seconds, and a seed is all that a report needs to bring one back.
"""

import json
import random
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.api.structural import structural
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.vllm.catalogue import Catalogue, ClosedSet, Flag, Kind, Reader, catalogue
from llmfleet.vllm.versions import DEFAULT
from tests.integration.properties.models import Models
from tests.integration.properties.templates import pod_overrides

Value = Any

LONGEST_LIST: Final = 3

SOURCES: Final = (
    "hf://Qwen/Qwen2.5-7B-Instruct",
    "hf://Qwen/Qwen2.5-7B-Instruct@main",
    "hf://gpt2",
    "modelscope://Qwen/Qwen2.5-7B",
    "s3://models/llama/8b",
    "gs://models/llama",
    "oci://registry.example/models/llama:8b",
    "pvc://models/llama",
)

PLAUSIBLE: Final[Mapping[str, Sequence[Value]]] = {
    "model.source": SOURCES,
    "model.servedNames[]": ("chat", "Qwen2.5-7B", "org/model", "a:b@c"),
    "model.maxLength": (1, 1024, "16k", "16K", "1M", "auto", 131072, "-1", 0, "16g"),
    "model.dtype": ("auto", "bfloat16", "half", "float16", "float32", "float", "fp16"),
    "model.tokenizer": (*SOURCES[:4], SOURCES[-1]),
    "model.tokenizerMode": ("auto", "hf", "mistral", "slow"),
    "model.loadFormat": ("auto", "safetensors", "dummy", "runai_streamer", "gguf"),
    "model.cache": ({"claimName": "models"}, {"storage": "10Gi"}, {"storage": "10Gi", "storageClassName": "fast"}, {"claimName": "a", "storage": "1Gi"}),
    "model.credentials": ({"secretKeyRef": {"name": "hub", "key": "token"}}, {"secretRef": {"name": "s3"}}, {}),
    "model.chatTemplate": ({"configMapKeyRef": {"name": "templates", "key": "chat.jinja"}}, {}),
    "model.generationDefaults": ({"temperature": 0.2}, {"top_p": 0.9, "max_new_tokens": 5}, {}),
    "model.configOverrides": ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, {"architectures": ["X"]}),
    "quantization.method": ("fp8", "awq", "fp8_per_tensor", "online", "bitsandbytes", "gguf", "fbgemm_fp8", "awk", "compressed-tensors", "mxfp4"),
    "quantization.config": (
        *({"linear": "fp8_per_tensor"}, {"linear": {"weight": "fp8_per_tensor_dynamic"}, "ignore": ["lm_head"]}, {"targets": {"re:.*proj": "mxfp8"}}),
        *({"linear": "fp8"}, {"moe": "int8_per_channel_weight_only"}, {"linear": "int8_per_channel_weight_only"}, {"moe": "mxfp4", "targets": {"x": "mxfp8"}}),
    ),
    "quantization.kvCache": ("auto", "fp8", "fp8_e4m3", "fp8_ds_mla", "nvfp4", "int4", "bfloat16"),
    "accelerator.profile": (*built_in_profiles(), "tesla"),
    "engine.version": ("0.32.0", "0.31.0", "0.30.0", "0.29.0", "0.32.1", "1.0"),
    "engine.image": ("registry.example/vllm:1", "a b"),
    "engine.attentionBackend": ("FLASHINFER", "flash_attn", "TRITON_ATTN", "FLASHY"),
    "engine.speculative.method": ("ngram", "eagle3", "eagle", "mtp", "medusa", "suffix", "draft_model", "guess"),
    "engine.speculative.model": SOURCES,
    "engine.toolCalling.parser": ("hermes", "llama3_json", "hermit"),
    "engine.reasoning.parser": ("qwen3", "deepseek_r1", "deepthink"),
    "engine.structuredOutputs.backend": ("auto", "xgrammar", "guidance", "outlines", "regexes"),
    "engine.multimodal.limits": ({"image": 2}, {"image": 0, "video": 0}, {"audio": 1}, {"smell": 1}),
    "engine.multimodal.processorOptions": ({"max_pixels": 1000}, {}),
    "engine.env[]": ({"name": "A", "value": "1"}, {"name": "HOME", "value": "/x"}, {"name": "VLLM_LOGGING_LEVEL", "value": ""}, {"name": "B"}),
    "engine.env[].name": ("A", "B", "VLLM_X", "HOME"),
    "engine.envFrom[]": ({"secretRef": {"name": "keys"}}, {"configMapRef": {"name": "settings"}}, {}),
    "engine.kvOffload": ({"memory": "4Gi"}, {"memory": "1500M", "backend": "native"}, {"memory": "1Gi", "backend": "disk"}),
    "engine.kvCacheMemory": ("4Gi", "1500M", "0", "1.5Gi", "10 GB"),
    "engine.cpuOffload": ("4Gi", "0.5Gi", "1G"),
    "engine.multimodal.cache": ("4Gi", "0", "500M"),
    "adapters.items[].credentials": ({"secretKeyRef": {"name": "hub", "key": "token"}}, {}),
    "adapters.maxRank": (8, 16, 32, 17, 512),
    "adapters.items[].name": ("sql", "law", "chat"),
    "adapters.items[].source": SOURCES,
    "rollout.drainTimeout": ("5m", "90s", "1h30m", "30s", "5 m"),
    "template": ({}, {"metadata": {"labels": {"team": "a"}}}, {"spec": {"nodeSelector": {"pool": "gpu"}}}, {"spec": {"serviceAccountName": "root"}}),
    "resourceName": ("nvidia.com/gpu", "amd.com/gpu", "gpu", "example.com/"),
    "computeCapability": ("9.0", "10.0", "7.5", "90", "9"),
    "images": ({"*": "vllm/vllm-openai:v{version}"}, {"0.32.0": "a/b:c", "*": "a/b"}, {"v0.32.0": "a"}, {"0.32.0": "a b"}),
    "tolerations[].key": ("nvidia.com/gpu", "a"),
    "autoscaling": ({"maxReplicas": 4}, {"minReplicas": 1, "maxReplicas": 8, "inFlight": {"target": 10}}, {"minReplicas": 9, "maxReplicas": 8}),
    "autoscaling.behavior": ({}, {"scaleDown": {"stabilizationWindowSeconds": 60}}),
}
"""Values that mean something, by field: random text alone would never get past the first check."""

OF_THE_PLATFORM: Final = ("--mm-processor-device",)
"""Flags whose choices the parser has only on machines with such a device: the catalogue knows them all, and the parser that is asked here is the CPU's."""

WRONG: Final[Sequence[Value]] = ("", "x" * 70, "Ü", -1, 0, 10**12, 1.5, True, "true", [], {}, "a\nb", "$(A)", "--port")
"""What people's generators put where it does not belong."""


class Specifications:
    """An endless, reproducible supply."""

    def __init__(self, seed: int, versions: Sequence[str] = (DEFAULT,)) -> None:
        self._random = random.Random(seed)
        self._versions = versions
        self._models = Models(self._random)
        self._wrong = self._rate = 0.0
        self._service = structural(LLMServiceSpec)
        self._accelerator = structural(AcceleratorProfile)

    def next(self) -> dict[str, Value]:
        """Return a specification as a person may write it: careful people write less, and make fewer mistakes."""
        self._care()
        spec: dict[str, Value] = self._object("", self._service)
        engine = spec.get("engine", {})
        if isinstance(engine, dict) and len(self._versions) > 1 and self._random.random() < 0.5:
            spec["engine"] = engine
            engine["version"] = self._random.choice(self._versions)
        if self._random.random() < 0.4 and isinstance(engine, dict):
            spec["engine"] = engine
            engine["extraArgs"] = self._extra_args(engine.get("version"))
        if self._random.random() < 0.1:
            spec["template"] = {"spec": pod_overrides(self._random)}
        return spec

    def facts(self, spec: dict[str, Value]) -> ModelFacts | None:
        """Return what may be known of the model of a specification: of most models nothing."""
        source = spec["model"].get("source") if isinstance(spec.get("model"), dict) else None
        return self._models.next(source) if isinstance(source, str) and len(source) <= 1024 and self._random.random() < 0.3 else None

    def profile(self) -> dict[str, Value]:
        """Return an accelerator profile as an administrator may write it."""
        self._care()
        self._rate = self._random.choice((0.2, 0.5))
        made: dict[str, Value] = self._object("", self._accelerator)
        return made

    def _care(self) -> None:
        """How much the next person writes, and how often something wrong."""
        self._rate, self._wrong = self._random.choice(((0.02, 0.0), (0.05, 0.0), (0.08, 0.002), (0.2, 0.005)))

    def _value(self, path: str, schema: Mapping[str, Any]) -> Value:
        if self._random.random() < self._wrong:
            return self._random.choice(WRONG)
        if path == "quantization.config" and self._random.random() < 0.5:
            return self._object_value(catalogue(DEFAULT), "QuantizationConfigArgs", 0.4)
        if path in PLAUSIBLE and self._random.random() < 0.95:
            return self._random.choice(PLAUSIBLE[path])
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if schema.get("x-kubernetes-int-or-string"):
            return self._random.choice((1, 0, 4096, "500m", "2", "16Gi", "1.5Gi", "1e3", "0.5", "10 GB"))
        if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
            return {}
        match schema.get("type"):
            case "object" if "properties" in schema:
                return self._object(path, schema)
            case "object":
                return {f"k{i}": self._value(f"{path}.*", schema.get("additionalProperties") or {}) for i in range(self._random.randrange(3))}
            case "array":
                return [self._value(f"{path}[]", schema["items"]) for _ in range(self._random.randrange(1, LONGEST_LIST + 1))]
            case "integer":
                low, high = schema.get("minimum", 0), min(schema.get("maximum", 1000), 10**6)
                return self._random.choice((low, high, low + 1, self._random.randint(low, high), 2, 4, 8) if low < 3 else (low, high))
            case "number":
                return self._random.choice((0.5, 0.9, 1, 0.01, round(self._random.random(), 3)))
            case "boolean":
                return self._random.random() < 0.5
            case _:
                return "".join(self._random.choices(string.ascii_lowercase, k=self._random.randint(1, 8)))

    def _object(self, path: str, schema: Mapping[str, Any]) -> dict[str, Value]:
        chosen = {}
        for name, field in schema["properties"].items():
            here = f"{path}.{name}" if path else name
            if here == "engine.extraArgs":
                continue
            if name in schema.get("required", ()) or self._random.random() < (self._rate if "properties" not in field or path else 0.35):
                chosen[name] = self._value(here, field)
        if self._random.random() < self._wrong:
            chosen["noSuchField"] = 1
        return chosen

    def _extra_args(self, version: object) -> list[str]:
        try:
            known = catalogue(version if isinstance(version, str) else "0.32.0")
        except LookupError:
            known = catalogue("0.32.0")
        items: list[str] = []
        for _ in range(self._random.randint(1, 4)):
            items += self._flag(known)
        if self._random.random() < 0.03:
            items.insert(self._random.randrange(len(items) + 1), self._random.choice(("stray", "--", "-", "5", "--nonsense", "--Port", "a b")))
        return items

    def _flag(self, known: Catalogue) -> list[str]:
        flag = self._random.choice([flag for flag in known.flags.values() if flag.name not in OF_THE_PLATFORM])
        spelling = self._random.choice(flag.spellings)
        if spelling.startswith("--"):
            chance = self._random.random()
            if chance < 0.1:
                spelling = "--" + spelling[2:].replace("-", "_")
            elif chance < 0.14:
                spelling = spelling[: self._random.randint(3, len(spelling))]
            elif chance < 0.16:
                spelling = spelling[:-1] + self._random.choice(string.ascii_lowercase)
        if not flag.takes_value:
            return [spelling] if self._random.random() < 0.97 else [f"{spelling}=true"]
        values = [self._argument(known, flag) for _ in range(self._random.randint(1, 2) if flag.kind is Kind.LIST else 1)]
        if flag.reader in (Reader.OBJECT, Reader.JSON) and self._random.random() < 0.2:
            key = self._random.choice((*(known.objects[flag.object].fields if flag.object else ()), "some_key"))
            return [f"{spelling}.{key}", self._random.choice(("1", "text", "true", "0.5", "[1]"))]
        if len(values) == 1 and self._random.random() < 0.4 and spelling.startswith("--"):
            return [f"{spelling}={values[0]}"]
        return [spelling, *values]

    def _argument(self, known: Catalogue, flag: Flag) -> str:
        if self._random.random() < 0.05:
            return self._random.choice(("", "nonsense", "-1", "1.5", "{", "[]", "None", "1k", "--", "true"))
        if flag.choices:
            return str(self._random.choice(flag.choices))
        if flag.known:
            return self._random.choice(flag.known)
        match flag.reader:
            case Reader.INTEGER:
                return self._random.choice(("0", "1", "2", "16", "-1", "1000"))
            case Reader.NUMBER:
                return self._random.choice(("0.5", "1", "1e-3", "-0.5"))
            case Reader.HUMAN_INTEGER | Reader.HUMAN_INTEGER_OR_AUTO:
                return self._random.choice(("16", "1k", "2K", "1.5k", "1M", "auto", "0"))
            case Reader.JSON | Reader.JSON_OR_TEXT:
                return self._random.choice(('{"a": 1}', "{}", '["x"]', "1", '"text"', "null"))
            case Reader.OBJECT:
                return self._json_object(known, flag)
            case Reader.LORA:
                return self._random.choice(("sql=/a", '{"name": "sql", "path": "/a"}', '{"name": "sql"}', "sql"))
            case _:
                closed = self._random.choice((ClosedSet.LOAD_FORMAT, ClosedSet.TOOL_CALL_PARSER, ClosedSet.REASONING_PARSER, ClosedSet.ATTENTION_BACKEND))
                return self._random.choice(("text", "/path/x", "a,b", "auto", *known.sets[closed][:2]))

    def _json_object(self, known: Catalogue, flag: Flag) -> str:
        value = self._object_value(known, flag.object or "", 0.1)
        if self._random.random() < 0.05:
            value["no_such_key"] = 1
        return json.dumps(value)

    def _object_value(self, known: Catalogue, name: str, rate: float) -> dict[str, Value]:
        """Some fields of an object of vLLM's; further down more of them, for there are fewer."""
        fields = known.objects[name].fields.items()
        return {key: self._json_value(known, field.schema) for key, field in fields if field.required or self._random.random() < rate}

    def _json_value(self, known: Catalogue, schema: Mapping[str, Any]) -> Value:
        if "anyOf" in schema:
            return self._json_value(known, self._random.choice(schema["anyOf"]))
        if "$ref" in schema:
            declared = known.objects[schema["$ref"]]
            return self._object_value(known, schema["$ref"], 0.3) if declared.values is None else self._json_value(known, declared.values)
        if "enum" in schema or "const" in schema:
            return self._random.choice(schema.get("enum", [schema.get("const")]))
        match schema.get("type"):
            case "string":
                return self._random.choice(("text", "text", "", "/path", "s3://a/b", "proton", "+rms_norm", "mxfp8"))
            case "integer":
                return self._random.choice((1, 0, 8, 64, -1, "5", 4.0))
            case "number":
                return self._random.choice((0.5, 0, 1, -1, "0.25"))
            case "boolean":
                return self._random.choice((True, True, False, "yes", 0))
            case "null":
                return None
            case "array":
                items = schema.get("items", {})
                return [self._json_value(known, items) for _ in range(self._random.randrange(3))]
            case "object":
                of_each = schema.get("additionalProperties", {})
                return {
                    key: self._json_value(known, of_each) for key in self._random.sample(("a", "full_attention", "image", "fp8"), self._random.randrange(3))
                }
            case _:
                return self._random.choice((1, "text", True, {}, [], "FLASH_ATTN"))
