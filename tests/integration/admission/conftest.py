"""The chart's registration of the webhook, led to this machine's loopback, and an operator behind it: one for the cluster, so both go after each module."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.ports import free_port
from e2e.waiting import eventually
from tests.integration.operator_process import NAMESPACE, Operator, rendered_chart, service

SECRET = "llmfleet-certificate"
SERVICE = "llmfleet"
REGISTRATION = "validatingwebhookconfiguration/llmfleet"

WRONG: dict[str, Any] = {"accelerator": {"profile": "abacus"}, "engine": {"extraArgs": ["--port", "9"]}}
"""What the API server's schema takes and the checks do not."""

SAYS = 'admission webhook "admission.llmfleet.dev" denied the request'


@dataclass(frozen=True)
class Webhook:
    """The registration, and the operator that answers."""

    kubectl: Kubectl
    port: int

    def install(self) -> None:
        """Have the API server ask at our port; the operator has not told it yet whom to trust."""
        chart = {(doc["kind"], doc["metadata"]["name"]): doc for doc in rendered_chart()}
        registration = chart["ValidatingWebhookConfiguration", SERVICE]
        registration["webhooks"][0]["clientConfig"]["service"]["port"] = self.port
        self.kubectl.must("apply", "-f", "-", given=[chart["Secret", SECRET], registration])

    def remove(self) -> None:
        self.kubectl.must("delete", REGISTRATION, "--ignore-not-found")
        self.kubectl.must("-n", NAMESPACE, "delete", f"secret/{SECRET}", f"service/{SERVICE}", "--ignore-not-found")

    async def in_force(self) -> None:
        """Return once what is wrong is refused: the API server takes up a registration a moment after it was written."""

        async def refused() -> bool:
            # Beside the loop: the one who answers may be this very process.
            probe = service("probe", "default", **WRONG)
            answer = await asyncio.to_thread(self.kubectl, "apply", "--dry-run=server", "-f", "-", given=probe)
            assert SAYS in answer.stderr, answer.stderr + answer.stdout
            return True

        await eventually(refused, within_seconds=40, what="the webhook is asked")


@pytest.fixture(scope="module")
def webhook(installed: Path, control_plane: ControlPlane) -> Iterator[Webhook]:
    assert installed.exists()
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig)
    found = Webhook(kubectl, free_port())
    kubectl.must("apply", "-f", "-", given=control_plane.loopback_service(NAMESPACE, SERVICE))
    found.install()
    yield found
    found.remove()


@pytest.fixture(scope="module")
def answering(installed: Path, control_plane: ControlPlane, webhook: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator process behind the webhook; it answers whether it leads or not."""
    settings = {"LLMFLEET_ADMISSION": "true", "LLMFLEET_TLS_PORT": str(webhook.port)}
    running = Operator(installed, control_plane.audit_log, tmp_path_factory.mktemp("admission") / "log", "admission", settings)
    running.start()
    yield running
    running.end_cleanly()


@pytest.fixture
async def admission(webhook: Webhook, answering: Operator) -> Webhook:
    """The webhook, in force."""
    await webhook.in_force()
    return webhook
