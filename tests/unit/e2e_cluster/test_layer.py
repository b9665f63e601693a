"""A layer's stream: what tar reads from it, and that its announced length is its length."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from e2e.cluster.layer import Directory, File, Layer, Link, Owner, Text, Tree


def _written(layer: Layer) -> bytes:
    stream = io.BytesIO()
    layer.write(stream)
    return stream.getvalue()


def _members(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(_written(layer))) as archive:
        return {member.name: member for member in archive}


def _content(layer: Layer, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(_written(layer))) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "vllm").write_text("#!python\n")
    (root / "usr" / "bin" / "vllm").chmod(0o755)
    (root / "usr" / ("long" * 60)).write_bytes(b"x" * 1000)
    (root / "bin").symlink_to("usr/bin")
    return root


def test_announced_length_is_the_length(tree: Path) -> None:
    layer = Layer((Tree(tree, "opt"), Text("etc/passwd", b"root"), Directory("home/vllm"), Link("a", "b"), File("vllm", tree / "usr" / "bin" / "vllm")))
    assert layer.size_bytes() == len(_written(layer))


def test_empty_layer_is_an_empty_archive() -> None:
    assert _members(Layer()) == {}
    assert Layer().size_bytes() == len(_written(Layer()))


def test_tree_keeps_modes_links_and_long_names(tree: Path) -> None:
    members = _members(Layer((Tree(tree, "opt"),)))
    assert members["opt/usr/bin/vllm"].mode == 0o755
    assert members["opt/bin"].linkname == "usr/bin"
    assert members[f"opt/usr/{'long' * 60}"].size == 1000


def test_same_files_give_the_same_bytes_whenever_written(tree: Path) -> None:
    before = _written(Layer((Tree(tree),)))
    (tree / "usr" / "bin" / "vllm").touch()
    assert _written(Layer((Tree(tree),))) == before


def test_digest_is_that_of_the_stream(tree: Path) -> None:
    stream = io.BytesIO()
    assert Layer((Tree(tree),)).write(stream) == hashlib.sha256(stream.getvalue()).hexdigest()


def test_later_item_wins(tree: Path) -> None:
    assert _content(Layer((Tree(tree), Text("usr/bin/vllm", b"other"))), "usr/bin/vllm") == b"other"


def test_excluded_paths_and_names_stay_out(tree: Path) -> None:
    members = _members(Layer((Tree(tree, excluded_paths=frozenset({"usr/bin"}), excluded_names=frozenset({"bin"})),)))
    assert "usr/bin/vllm" not in members
    assert "bin" not in members


def test_owner_of_a_folder(tree: Path) -> None:
    home = _members(Layer((Directory("home/vllm", 0o775, Owner(2000, 0)),)))["home/vllm"]
    assert (home.uid, home.gid, home.mode, home.isdir()) == (2000, 0, 0o775, True)


def test_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * 10)
    layer = Layer((File("log", file),))

    class Truncating(io.BytesIO):
        def write(self, chunk: object, /) -> int:  # the header is written first, then the content is read
            file.write_bytes(b"x")
            return super().write(chunk)  # type: ignore[arg-type]

    with pytest.raises(OSError, match="changed while it was read"):
        layer.write(Truncating())
