"""What the operator writes into the pod, the runtime reads: they share no code, so both are asked here."""

from pathlib import Path
from typing import Any

import pytest

from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.children import children
from llmfleet_runtime import __main__ as runtime
from llmfleet_runtime import adapter_list
from tests.unit.resources.blueprints import blueprint
from tests.unit.resources.specifications import SPECS

QUANTIZED = {"model": {"source": "hf://a/b"}, "quantization": {"kvCache": "fp8"}, "parallelism": {"tensor": 2}, "adapters": {"maxRank": 8}}


def rendered(spec: dict[str, Any]) -> tuple[Manifest, dict[str, Manifest]]:
    """The pod, and the ConfigMaps by name."""
    manifests = children(blueprint(spec))
    return manifests[0]["spec"]["template"]["spec"], {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == "ConfigMap"}


def options(arguments: list[str]) -> Any:
    """What the runtime makes of a command; it ends with an error for what it does not know."""
    head = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return runtime._parser().parse_args(head)


@pytest.mark.parametrize("name", SPECS)
def test_the_launcher_takes_every_option_that_is_rendered(name: str) -> None:
    pod, _ = rendered(SPECS[name])
    (engine,) = [container for container in pod["containers"] if container["name"] == "engine"]
    given = options(engine["args"])
    assert given.command == "launch"
    assert given.start_timeout_seconds == 3600
    assert given.max_request_bytes == 64 * 1024**2


def test_what_the_launcher_looks_for_is_what_was_asked_for() -> None:
    pod, _ = rendered(QUANTIZED)
    given = options(pod["containers"][0]["args"])
    assert (given.accelerators, given.minimum_capability, str(given.adapters)) == (2, (8, 0), "/adapter-list/adapters.json")


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if "adapters" in spec])
def test_sidecars_and_launcher_read_the_list_that_is_rendered(name: str, tmp_path: Path) -> None:
    pod, config_maps = rendered(SPECS[name])
    file = tmp_path / "adapters.json"
    file.write_text(config_maps["qwen-adapters"]["data"][file.name])
    items = adapter_list.read(file)
    assert [item.name for item in items] == [item["name"] for item in SPECS[name]["adapters"]["items"]]

    sidecars = [options(container["command"][3:]) for container in pod["initContainers"] if container["name"].startswith("adapters-")]
    assert {str(sidecar.file) for sidecar in sidecars} == {"/adapter-list/adapters.json"}
    fetched = [item for item in items if item.source is not None]
    assert {item.fetcher for item in fetched} <= {sidecar.fetcher for sidecar in sidecars}
    assert {Path(item.path).parent for item in fetched} <= {sidecar.directory for sidecar in sidecars}
    mounted = tuple(mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"])
    assert all(item.path.startswith(mounted) for item in items)
