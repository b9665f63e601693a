"""What a container needs to reach a source: the credentials as the source's own libraries read them, and the way there. The Secret is only referred to."""

from dataclasses import dataclass
from typing import Final

from llmfleet import names
from llmfleet.api.source import Scheme
from llmfleet.api.v1alpha1 import Credentials, EnvVar, LLMServiceSpec
from llmfleet.planning import reserved
from llmfleet.resources.blueprint import Manifest

KEY_FILE_NAME: Final = "key.json"
"""Name of a service account's key file below CREDENTIALS_DIR."""

KEY_FILE_MODE: Final = 0o440
"""For the container's user and group alone."""

_TOKENS: Final = {Scheme.HUGGING_FACE: reserved.HUB_TOKEN, Scheme.MODELSCOPE: reserved.MODELSCOPE_TOKEN}


@dataclass(frozen=True, slots=True)
class Access:
    """Parts of a pod that carry credentials."""

    environment: tuple[Manifest, ...] = ()
    environment_from: tuple[Manifest, ...] = ()
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()


def access(credentials: Credentials | None, scheme: Scheme, volume: str = names.VOLUME_CREDENTIALS) -> Access:
    """Return the credentials of one source. `volume` is the name for a key file's volume, where there is one."""
    if credentials is None:
        return Access()
    if credentials.secret_ref is not None:
        return Access(environment_from=({"secretRef": credentials.secret_ref.to_wire()},))
    if credentials.secret_key_ref is None:
        return Access()
    reference = credentials.secret_key_ref
    if variable := _TOKENS.get(scheme):
        return Access(environment=({"name": variable, "valueFrom": {"secretKeyRef": reference.to_wire()}},))
    items = [{"key": reference.key, "path": KEY_FILE_NAME}]
    return Access(
        environment=({"name": reserved.KEY_FILE, "value": f"{names.CREDENTIALS_DIR}/{KEY_FILE_NAME}"},),
        volumes=({"name": volume, "secret": {"secretName": reference.name, "items": items, "defaultMode": KEY_FILE_MODE}},),
        mounts=({"name": volume, "mountPath": names.CREDENTIALS_DIR, "readOnly": True},),
    )


def fetching_environment(credentials: Credentials | None, given: Access, engine_environment: list[EnvVar]) -> list[Manifest]:
    """Return the environment of a container that inspects or fetches: those variables of the engine that say how sources are reached, and the credentials.

    HOME is the scratch volume: the libraries keep notes below it, and the root file system is read-only.
    """
    variables: dict[str, Manifest] = {"HOME": {"name": "HOME", "value": names.TMP_DIR}}
    variables |= {variable.name: variable.to_wire() for variable in engine_environment if reserved.reaches_source(variable.name)}
    variables |= {variable["name"]: variable for variable in given.environment}
    if credentials is not None:
        variables[names.ENV_CREDENTIALS] = {"name": names.ENV_CREDENTIALS, "value": _in_words(credentials)}
    return list(variables.values())


def named_files(spec: LLMServiceSpec) -> Access:
    """Return the volumes and mounts of the engine that hold the files which those variables name, such as a proxy's authority in SSL_CERT_FILE."""
    paths = [variable.value for variable in spec.engine.env if reserved.reaches_source(variable.name) and variable.value]
    pod = spec.template.spec
    engine: Manifest = next((container for container in pod.get("containers") or () if container["name"] == names.ENGINE_CONTAINER), {})
    mounts = [mount for mount in engine.get("volumeMounts") or () if any(f"{path}/".startswith(f"{mount['mountPath'].rstrip('/')}/") for path in paths)]
    mounted = {mount["name"] for mount in mounts}
    volumes = [volume for volume in pod.get("volumes") or () if volume["name"] in mounted]
    return Access(volumes=tuple(volumes), mounts=tuple(mounts))


def _in_words(credentials: Credentials) -> str:
    if credentials.secret_key_ref is not None:
        return f"secret {credentials.secret_key_ref.name} key {credentials.secret_key_ref.key}"
    return f"secret {credentials.secret_ref.name}" if credentials.secret_ref is not None else ""
