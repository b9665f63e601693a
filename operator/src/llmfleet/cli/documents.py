"""What the command is given to read: files, folders, standard input; YAML of several documents, JSON, Lists, the output of kustomize and helm."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from llmfleet import names
from llmfleet.cli.exit_status import CommandError
from llmfleet.cli.yaml_tree import Node, YamlError, documents

STANDARD_INPUT: Final = "-"

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""Files of a folder that are read."""

LARGEST_FILE_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """One object."""

    file: str
    """Path as given; `<stdin>` for standard input."""
    content: dict[str, Any]
    """As kubectl would send it."""
    node: Node
    """The same with its lines."""

    @property
    def kind(self) -> str:
        """Its kind; empty where it is no Kubernetes object."""
        return str(self.content.get("kind", ""))

    @property
    def group(self) -> str:
        """Its API group; empty for the core group and for what is no object."""
        return str(self.content.get("apiVersion", "")).rpartition("/")[0]

    @property
    def namespace(self) -> str:
        """Its namespace, `default` where it says none."""
        return str(self._metadata.get("namespace") or "default")

    @property
    def name(self) -> str:
        """Its name; empty where it has none."""
        return str(self._metadata.get("name", ""))

    @property
    def about(self) -> str:
        """`llmservice chat/qwen`, for a message."""
        return f"{self.kind.lower()} {self.name if self.kind == names.ACCELERATOR_PROFILE else f'{self.namespace}/{self.name}'}"

    @property
    def _metadata(self) -> dict[str, Any]:
        metadata = self.content.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    def where(self, path: str) -> str:
        """`FILE:LINE` of a field, or of what stands there of it."""
        return f"{self.file}:{self.node.at(path).line}"


@dataclass(slots=True)
class Input:
    """Everything that was read, and what could not be."""

    objects: list[Document] = field(default_factory=list)
    """Objects of whatever kind, Lists taken apart."""
    unreadable: list[str] = field(default_factory=list)
    """`FILE:LINE: what is wrong`, for each file or document that cannot be read."""

    def of_kind(self, kind: str) -> list[Document]:
        """The objects of a kind of ours."""
        return [found for found in self.objects if found.group == names.GROUP and found.kind == kind]


def read(given: Sequence[str]) -> Input:
    """Read files, folders (with all below) and standard input (`-`); CommandError for one that does not exist, or where nothing is given to read."""
    if not given:
        raise CommandError("nothing to read: give -f FILE, -f FOLDER or -f - for standard input")
    found = Input()
    for path in given:
        for file in _files(path):
            try:
                text = _text(file)
                for node in documents(text):
                    found.objects += _objects(file, node)
            except YamlError as error:
                found.unreadable.append(f"{_shown(file)}:{error.line}: {error}")
    return found


def _files(given: str) -> Iterator[str]:
    path = Path(given)
    if given == STANDARD_INPUT or path.is_file():
        yield given
    elif path.is_dir():
        yield from (str(file) for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES and file.is_file())
    elif path.exists():  # a pipe: <(kustomize build)
        yield given
    else:
        raise CommandError(f"{given}: there is no such file or folder")


def _text(file: str) -> str:
    if file == STANDARD_INPUT and sys.stdin is None:
        raise CommandError("standard input is closed: there is nothing to read")
    try:
        if file == STANDARD_INPUT:
            content = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{_shown(file)}: cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise CommandError(f"{_shown(file)}: is larger than {LARGEST_FILE_BYTES // 2**20} MiB: give the manifests in parts")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(f"is no UTF-8 text: {error.reason}", content.count(b"\n", 0, error.start) + 1) from error


def _objects(file: str, node: Node, inherited: Mapping[str, str] = MappingProxyType({})) -> Iterator[Document]:
    """The object, or those of a list; what an LLMServiceList holds need not say its kind, as kubectl has it."""
    content = node.plain()
    if not isinstance(content, dict):
        return
    content = {**inherited, **content}
    kind = str(content.get("kind", ""))
    if kind.endswith("List") and isinstance(content.get("items"), list):
        of_items = {"apiVersion": str(content.get("apiVersion", "")), "kind": item_kind} if (item_kind := kind.removesuffix("List")) else {}
        for item in node.at("items").value:
            yield from _objects(file, item, of_items)
        return
    yield Document(_shown(file), content, node)


def _shown(file: str) -> str:
    return "<stdin>" if file == STANDARD_INPUT else file
