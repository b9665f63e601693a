import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from llmfleet.kube.client import Client
from llmfleet.tls.certificates import dns_names
from llmfleet.tls.serving_certificate import MissingSecretError, agree
from tests.unit.tls.fake_api_server import SECRET, FakeApiServer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAMES = dns_names("llmfleet", "llmfleet-system")


@pytest.fixture
def api_server() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
async def client(api_server: FakeApiServer) -> AsyncIterator[Client]:
    async with api_server.client() as client:
        yield client


async def test_replicas_that_start_together_agree_on_one_certificate(api_server: FakeApiServer, client: Client) -> None:
    agreed = await asyncio.gather(*(agree(client, "llmfleet-system", "certificate", NAMES, NOW) for _ in range(5)))
    assert len({credentials.certificate for credentials in agreed}) == 1
    assert api_server.writes == [("PUT", SECRET)]


async def test_foreign_keys_and_metadata_of_the_secret_stay(api_server: FakeApiServer, client: Client) -> None:
    api_server.objects[SECRET]["data"] = {"other": "eA==", "tls.crt": "not base64!"}
    api_server.objects[SECRET]["metadata"]["labels"] = {"a": "b"}
    await agree(client, "llmfleet-system", "certificate", NAMES, NOW)
    assert api_server.objects[SECRET]["data"]["other"] == "eA=="
    assert api_server.objects[SECRET]["metadata"]["labels"] == {"a": "b"}


async def test_a_secret_that_does_not_exist_is_named_with_the_remedy(api_server: FakeApiServer, client: Client) -> None:
    del api_server.objects[SECRET]
    with pytest.raises(MissingSecretError, match="Secret llmfleet-system/certificate does not exist; the chart creates it: run helm upgrade"):
        await agree(client, "llmfleet-system", "certificate", NAMES, NOW)
