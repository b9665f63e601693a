"""The registration trusts what is served, also after everything was made anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from e2e.kubectl import Kubectl
from llmfleet.api.accelerator import built_in_profiles
from llmfleet.kube.client import Client
from llmfleet.server.admission import Admission
from llmfleet.tls.listener import Listener
from tests.integration.admission.conftest import REGISTRATION, SECRET, SERVICE, Webhook
from tests.integration.operator_process import NAMESPACE


@asynccontextmanager
async def _listening(account: Client, port: int) -> AsyncIterator[Listener]:
    admission = Admission(account, built_in_profiles, "nvidia", namespace=NAMESPACE, service=SERVICE)
    listener = Listener(account, [admission], namespace=NAMESPACE, service=SERVICE, secret=SECRET, port=port)
    async with listener.listening():
        yield listener


async def _bundle(kubectl: Kubectl) -> str:
    return await asyncio.to_thread(kubectl.must, "get", REGISTRATION, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")


async def test_a_new_authority_is_trusted_at_the_next_refresh(account: Client, webhook: Webhook, kubectl: Kubectl) -> None:
    async with _listening(account, webhook.port) as listener:
        assert await listener.refresh()
        first = await _bundle(kubectl)
        await webhook.in_force()

        await asyncio.to_thread(kubectl.must, "-n", NAMESPACE, "patch", "secret", SECRET, "--type=merge", "-p", '{"data": null}')
        assert await listener.refresh()
        assert await _bundle(kubectl) != first
        await webhook.in_force()


async def test_an_upgrade_of_the_chart_leaves_the_bundle_alone(account: Client, webhook: Webhook, kubectl: Kubectl) -> None:
    async with _listening(account, webhook.port) as listener:
        assert await listener.refresh()
        before = await _bundle(kubectl)
        await asyncio.to_thread(webhook.install)
        assert await _bundle(kubectl) == before != ""


async def test_without_a_registration_nothing_is_made(account: Client, webhook: Webhook, kubectl: Kubectl) -> None:
    """The chart takes it away on uninstall; it must not come back."""
    await asyncio.to_thread(kubectl.must, "delete", REGISTRATION)
    async with _listening(account, webhook.port) as listener:
        assert not await listener.refresh()
        assert (await asyncio.to_thread(kubectl, "get", REGISTRATION)).returncode != 0
    await asyncio.to_thread(webhook.install)
