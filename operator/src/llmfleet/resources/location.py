"""Where everything lies that a specification names by its source: places for the engine's arguments, and the volumes and mounts that make them true."""

import hashlib
from dataclasses import dataclass
from typing import Final

from llmfleet import names
from llmfleet.api import source
from llmfleet.api.source import Bucket, Claim, Image, Repository, Scheme
from llmfleet.planning import reserved
from llmfleet.resources import adapters, credentials
from llmfleet.resources.adapters import Listed
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.vllm.arguments import Place, Places

CLAIM_SUFFIX: Final = "-models"
"""The claim that is made for `model.cache.storage` is `<name>-models`."""

CACHE_ROOT: Final = "llmfleet"
"""Directory on a cache's claim; whatever else lies on the claim is left alone."""

LONGEST_FOLDER: Final = 200
"""Characters of a directory's name; file systems take 255 bytes, and what is being filled has an ending."""

IMAGE_DIGITS: Final = 12
"""Hexadecimal digits of an image's directory."""


@dataclass(frozen=True, slots=True)
class Location:
    """What the engine's pod needs for its sources."""

    places: Places
    volumes: tuple[Manifest, ...]
    """Of the pod."""
    mounts: tuple[Manifest, ...]
    """Of the engine's container."""
    environment: tuple[Manifest, ...]
    """Of the engine's container."""
    environment_from: tuple[Manifest, ...]
    """Of the engine's container."""
    adapters: tuple[Listed, ...]
    """In the order of spec.adapters.items."""


def cache_claim(blueprint: Blueprint) -> str | None:
    """Return the name of the claim that is filled with the model; None where every engine gets the model from its source."""
    model = blueprint.spec.model
    if model.cache is None or not isinstance(source.parse(model.source), Repository | Bucket):
        return None
    return model.cache.claim_name or blueprint.owner.name + CLAIM_SUFFIX


def cache_directory(model_source: str) -> str:
    """Return where a source's files lie on a cache's claim, below its root: llmfleet/hf/owner--repository@revision, llmfleet/s3/bucket--path.

    No two sources share a directory, and none lies in another's: what is long, or could be read in two ways, ends in a digest of the source.
    """
    origin = source.parse(model_source)
    match origin:
        case Repository():
            readable = origin.repository + (f"@{origin.revision}" if origin.revision else "")
        case Bucket():
            readable = f"{origin.bucket}/{origin.path}".rstrip("/")
        case _:
            raise ValueError(f"{model_source} is mounted, never cached")
    folder = readable.replace("/", "--")
    if "--" in readable or readable.count("/") > 1 or len(folder) > LONGEST_FOLDER:
        folder = f"{folder[:LONGEST_FOLDER]}-{hashlib.sha256(readable.encode()).hexdigest()[:10]}"
    return f"{CACHE_ROOT}/{origin.scheme}/{folder}"


def locate(blueprint: Blueprint) -> Location:
    """Return where the model, its tokenizer, the draft model, the adapters and the chat template lie."""
    return _Locator(blueprint).located()


class _Locator:
    """Collects volumes and mounts, each claim and image once."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._spec = blueprint.spec
        self._claims: dict[str, str] = {}
        self._images: dict[str, str] = {}
        self._volumes: list[Manifest] = []
        self._mounts: list[Manifest] = []
        self._hubs: set[Scheme] = set()

    def located(self) -> Location:
        """Return everything, the model first: what shares its volume is found below MODEL_DIR."""
        model, spec = self._spec.model, self._spec
        draft = spec.engine.speculative.model if spec.engine.speculative else None
        places = Places(
            model=self._model(),
            tokenizer=self._place(model.tokenizer) if model.tokenizer else None,
            draft=self._place(draft) if draft else None,
            chat_template=self._chat_template(),
            api_keys=tuple(f"$({names.ENV_API_KEY}{index})" for index in range(len(spec.access.api_keys))),
        )
        listed = self._adapters()
        given = self._access()
        self._volumes += given.volumes
        self._mounts += given.mounts
        return Location(
            places=places,
            volumes=tuple(self._volumes),
            mounts=tuple(self._mounts),
            environment=(*self._hub_environment(), *given.environment, *self._api_keys()),
            environment_from=given.environment_from,
            adapters=listed,
        )

    def _model(self) -> Place:
        claim = cache_claim(self._blueprint)
        if claim is not None:
            # Not read-only as a volume: compiled graphs are kept on it by a mount of their own.
            self._mount_claim(claim, names.VOLUME_MODEL, names.MODEL_DIR, read_only_volume=False)
            return Place(f"{names.MODEL_DIR}/{cache_directory(self._spec.model.source)}")
        origin = source.parse(self._spec.model.source)
        match origin:
            case Claim():
                self._mount_claim(origin.claim, names.VOLUME_MODEL, names.MODEL_DIR)
            case Image():
                self._mount_image(origin.reference, names.VOLUME_MODEL, names.MODEL_DIR)
        return self._place(self._spec.model.source)

    def _place(self, wanted: str) -> Place:
        """Where a source lies for vLLM, which fetches from hubs and streams from object storage by itself."""
        origin = source.parse(wanted)
        match origin:
            case Repository():
                self._hubs.add(origin.scheme)
                return Place(origin.repository, origin.revision)
            case Bucket():
                return Place(origin.url)
            case _:
                return Place(self._mounted(origin))

    def _mounted(self, origin: Claim | Image) -> str:
        """The path of what a volume holds; the volume is mounted where it is not yet."""
        if isinstance(origin, Image):
            if origin.reference not in self._images:
                digest = hashlib.sha256(origin.reference.encode()).hexdigest()[:IMAGE_DIGITS]
                self._mount_image(origin.reference, f"{names.VOLUME_IMAGE}{len(self._images)}", f"{names.IMAGES_DIR}/{digest}")
            return self._images[origin.reference]
        if origin.claim not in self._claims:
            self._mount_claim(origin.claim, f"{names.VOLUME_CLAIM}{len(self._claims)}", f"{names.CLAIMS_DIR}/{origin.claim}")
        return f"{self._claims[origin.claim]}/{origin.path}".rstrip("/")

    def _mount_claim(self, claim: str, volume: str, path: str, *, read_only_volume: bool = True) -> None:
        self._claims[claim] = path
        self._volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim} | ({"readOnly": True} if read_only_volume else {})})
        self._mounts.append({"name": volume, "mountPath": path, "readOnly": True})

    def _mount_image(self, reference: str, volume: str, path: str) -> None:
        self._images[reference] = path
        self._volumes.append({"name": volume, "image": {"reference": reference}})
        self._mounts.append({"name": volume, "mountPath": path, "readOnly": True})

    def _adapters(self) -> tuple[Listed, ...]:
        """Where each adapter lies; nothing that is mounted for them depends on the order or the names of the items."""
        if not self._spec.adapters.enabled:
            return ()
        items = [(adapter, source.parse(adapter.source)) for adapter in self._spec.adapters.items]
        for origin in sorted({origin for _, origin in items if isinstance(origin, Claim)}, key=lambda origin: origin.claim):
            self._mounted(origin)
        for image in sorted({origin for _, origin in items if isinstance(origin, Image)}, key=lambda origin: origin.reference):
            self._mounted(image)
        self._volumes += adapters.list_volumes(self._blueprint)
        self._mounts += adapters.engine_mounts()
        return tuple(
            Listed(adapter.name, self._mounted(origin)) if isinstance(origin, Claim | Image) else adapters.fetched(self._spec, adapter)
            for adapter, origin in items
        )

    def _chat_template(self) -> str | None:
        template = self._spec.model.chat_template
        if template is None:
            return None
        reference = template.config_map_key_ref
        # The key is named, so that one that is missing is told by the kubelet before vLLM starts.
        volume = {"name": reference.name, "items": [{"key": reference.key, "path": reference.key}]}
        self._volumes.append({"name": names.VOLUME_CHAT_TEMPLATE, "configMap": volume})
        self._mounts.append({"name": names.VOLUME_CHAT_TEMPLATE, "mountPath": names.CHAT_TEMPLATE_DIR, "readOnly": True})
        return f"{names.CHAT_TEMPLATE_DIR}/{reference.key}"

    def _access(self) -> credentials.Access:
        """Credentials of the engine itself: it needs none for what lies in its pod."""
        origin = source.parse(self._spec.model.source)
        if not isinstance(origin, Repository | Bucket):
            return credentials.Access()
        asks = origin.scheme in self._hubs or (isinstance(origin, Bucket) and cache_claim(self._blueprint) is None)
        return credentials.access(self._spec.model.credentials, origin.scheme) if asks else credentials.Access()

    def _hub_environment(self) -> list[Manifest]:
        """One hub is asked, or none: where everything lies in the pod or in object storage, a hub's outage must not keep an engine from starting."""
        if not self._hubs:
            return [{"name": reserved.HUB_OFFLINE, "value": "1"}]
        return [{"name": "VLLM_USE_MODELSCOPE", "value": "True"}] if Scheme.MODELSCOPE in self._hubs else []

    def _api_keys(self) -> list[Manifest]:
        return [
            {"name": f"{names.ENV_API_KEY}{index}", "valueFrom": {"secretKeyRef": key.secret_key_ref.to_wire()}}
            for index, key in enumerate(self._spec.access.api_keys)
        ]
