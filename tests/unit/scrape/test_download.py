"""Progress of downloads: what a pod says, and who is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llmfleet.scrape.download import Progress, parse
from llmfleet.scrape.downloads import Downloads
from llmfleet.scrape.engine import Target
from llmfleet.scrape.report import MalformedReportError

GIB, MIB = 1024**3, 1024**2
REPORT = {"phase": "Downloading", "files": {"done": 1, "total": 3}, "bytes": {"done": 6, "total": 10}, "bytesPerSecond": 2, "secondsLeft": 2}


def test_a_report() -> None:
    assert parse(json.dumps(REPORT).encode()) == Progress(6, 10, 2, 2)


@pytest.mark.parametrize("document", [{}, {"bytes": 1}, {"bytes": {"done": "6", "total": -1}, "bytesPerSecond": True, "secondsLeft": None}])
def test_what_is_absent_or_ill_typed_is_unknown(document: object) -> None:
    assert parse(json.dumps(document).encode()) == Progress(0, 0)


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedReportError):
        parse(content)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(0, 0), None),
        (Progress(0, 100 * MIB), "0% of 100.0 MiB"),
        (Progress(6 * GIB, round(14.2 * GIB), 310 * MIB), "42% of 14.2 GiB, 310 MiB/s"),
        (Progress(11 * GIB, 10 * GIB), "100% of 10.0 GiB"),
    ],
)
def test_progress_for_people(progress: Progress, text: str | None) -> None:
    assert progress.text == text


class Pods:
    """One pod that reports, and one whose address leads nowhere."""

    def __init__(self) -> None:
        self.report: Any = REPORT
        self.targets: dict[str, Target] = {}
        self.told: list[str] = []

    async def answer(self, _: web.Request) -> web.Response:
        return web.json_response(self.report)

    def known(self) -> Mapping[str, Target]:
        return self.targets


@pytest.fixture
async def pods() -> AsyncIterator[tuple[Pods, Downloads]]:
    pods, app = Pods(), web.Application()
    app.router.add_get("/report", pods.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        pods.targets["a"] = Target("pod-a", "127.0.0.1", launcher_port=server.port or 0)
        yield pods, Downloads(pods.known, session, pods.told.append)


async def test_who_waits_is_told_when_progress_is_made(pods: tuple[Pods, Downloads]) -> None:
    pod, downloads = pods
    await downloads.round()
    assert (pod.told, downloads.progress("a")) == (["a"], Progress(6, 10, 2, 2))
    await downloads.round()
    assert pod.told == ["a"], "nothing has changed"
    pod.report = {**REPORT, "bytes": {"done": 7, "total": 10}}
    await downloads.round()
    assert pod.told == ["a", "a"]


async def test_a_pod_that_says_nothing_sensible_stays_as_it_was_known(pods: tuple[Pods, Downloads]) -> None:
    pod, downloads = pods
    await downloads.round()
    pod.report = []
    await downloads.round()
    assert downloads.progress("a") == Progress(6, 10, 2, 2)


async def test_a_pod_that_is_gone_is_forgotten(pods: tuple[Pods, Downloads]) -> None:
    pod, downloads = pods
    await downloads.round()
    pod.targets.clear()
    await downloads.round()
    assert downloads.progress("a") is None


async def test_nobody_is_asked_where_nothing_is_fetched(pods: tuple[Pods, Downloads]) -> None:
    pod, downloads = pods
    pod.targets.clear()
    await asyncio.wait_for(downloads.round(), 1)
    assert pod.told == []
