"""Which versions are served, and what came and went between them."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from llmfleet.vllm import versions
from llmfleet.vllm.catalogue import catalogue

DOCUMENT = Path(__file__).parents[3] / "docs" / "versions.md"


def test_the_table_is_newest_first_and_its_first_line_is_the_default() -> None:
    numbers = [tuple(map(int, version.split("."))) for version in versions.VERSIONS]
    assert numbers == sorted(numbers, reverse=True)
    assert next(iter(versions.VERSIONS)) == versions.DEFAULT
    assert versions.VERSIONS[versions.DEFAULT] is versions.State.WORKS


def test_the_document_has_the_table() -> None:
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([a-z ]+?) \| (\d+) \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert rows == [(version, str(state), str(len(catalogue(version).flags))) for version, state in versions.VERSIONS.items()]


def test_the_document_lists_what_came_and_went() -> None:
    text = DOCUMENT.read_text()
    newest_first = list(versions.VERSIONS)
    for newer, older in pairwise(newest_first):
        for flag in catalogue(newer).flags.keys() ^ catalogue(older).flags.keys():
            assert f"`{flag}`" in text


@pytest.mark.parametrize("flag", sorted(versions.REMOVED))
def test_a_flag_that_went_is_told_with_what_took_its_place(flag: str) -> None:
    absence = versions.absent(flag, "0.32.0")
    assert absence is not None
    assert absence.rule.startswith("no longer exists in vLLM, since ")
    assert absence.remedy == versions.REMOVED[flag]


def test_since_when_a_flag_is_gone_follows_from_the_catalogues() -> None:
    absence = versions.absent("--enable-bf16x3-router-gemm", "0.32.0")
    assert absence is not None
    assert absence.rule == "no longer exists in vLLM, since 0.30.0"


def test_a_flag_of_a_newer_version_is_told_with_that_version() -> None:
    absence = versions.absent("--max-num-active-seqs", "0.30.0")
    assert absence is not None
    assert absence.rule == "exists only from vLLM 0.31.0 on, and this service runs 0.30.0"
    assert absence.remedy == "set spec.engine.version to 0.31.0 or newer, or remove it"


def test_a_flag_that_is_there_or_never_was_is_not_absent() -> None:
    assert versions.absent("--max-num-active-seqs", "0.31.0") is None
    assert versions.absent("--max-num-sequences", "0.31.0") is None


@pytest.mark.parametrize(
    ("version", "nearest"),
    [("0.31.0", "0.31.0"), ("0.31.1", "0.31.0"), ("0.33.0", "0.32.0"), ("0.19.0", "0.29.0"), ("0.32.0+mine", "0.32.0"), ("0.30.5rc1", "0.30.0")],
)
def test_a_version_without_a_catalogue_is_read_by_the_nearest(version: str, nearest: str) -> None:
    assert versions.nearest(version) == nearest


def test_a_version_that_is_not_in_the_table_is_not_verified() -> None:
    assert versions.state("0.40.0") is versions.State.NOT_VERIFIED
    assert versions.state(versions.DEFAULT) is versions.State.WORKS
