"""One engine pod over HTTP: what it is asked, and how little it may cost."""

import ipaddress
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from llmfleet import names
from llmfleet.scrape import queue_metrics, report

REQUEST_TIMEOUT_SECONDS: Final = 2.0
"""Time of one request; an answer takes a millisecond. A pod that is slower counts with its last sample, and must not hold up the round."""

CONNECT_SECONDS: Final = 0.5
"""Time to connect, which takes less than a millisecond inside a cluster: a pod whose node is gone swallows the packets without a word. The kernel sends a
lost one again only after a second, so waiting for that would double what every dead pod costs."""


class UnexpectedAnswerError(ValueError):
    """The pod answered with something else than was asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A pod to read."""

    pod: str
    """Name of the pod."""
    address: str
    """IP address of the pod, from its status."""
    state: str = ""
    """Anything that changes with the pod's state (ready, restarts): the report is read again when it does."""
    adapters: frozenset[str] = frozenset()
    """Adapters that the pod is to load: its report is read at every turn until it has dealt with them."""
    engine_port: int = names.ENGINE_PORT
    launcher_port: int = names.LAUNCHER_PORT


def session() -> aiohttp.ClientSession:
    """The session to read engines with: no connection is kept.

    A kept one would be waited for when the engine is to stop, as every open connection is (docs/engine-pod.md).
    Call it inside a running event loop; the caller closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS),
        # Nothing is unpacked here: a few bytes of a hostile answer must not become gigabytes.
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )


async def read_queue(client: aiohttp.ClientSession, target: Target) -> queue_metrics.Queue:
    """Requests in flight; aiohttp.ClientError, TimeoutError, OSError or ValueError where there is no such answer."""
    content = await get(client, target, target.engine_port, queue_metrics.PATH, queue_metrics.MAX_BYTES)
    return queue_metrics.parse(content.decode(errors="replace"))


async def read_report(client: aiohttp.ClientSession, target: Target) -> report.Report:
    """The launcher's report; errors as of `read_queue`."""
    return report.parse(await get(client, target, target.launcher_port, report.PATH, report.MAX_BYTES))


async def get(client: aiohttp.ClientSession, target: Target, port: int, path: str, max_bytes: int) -> bytes:
    """Body of a 200 from a pod, of so many bytes at most; a redirect is not followed, so that a pod cannot send us anywhere else."""
    address = ipaddress.ip_address(target.address)
    host = f"[{address}]" if address.version == 6 else str(address)
    async with client.get(URL(f"http://{host}:{port}{path}", encoded=True), allow_redirects=False) as response:
        if response.status != 200:
            raise UnexpectedAnswerError(f"HTTP {response.status}")
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > max_bytes:
                raise UnexpectedAnswerError(f"more than {max_bytes:,} bytes")
        return bytes(content)
