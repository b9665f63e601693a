"""The validating webhook: kubectl says at once what the operator would say in a condition a second later.

A courtesy, not the authority: the chart registers it with failurePolicy Ignore, because the reconciler looks at every object again. So it refuses only what a
person has just written. An object that is being deleted, or whose spec is as it was, passes whatever it holds: one that was stored while nobody looked, or
under other rules, can still be labelled and removed.

kopf's own webhook server is not used: it writes its registration at start and removes it at exit, which leaves a hole at every restart.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import VALIDATING_WEBHOOK_CONFIGURATION
from llmfleet.planning import review
from llmfleet.planning.review import Surroundings
from llmfleet.planning.violation import Violation
from llmfleet.tls.serving_certificate import FIELD_MANAGER

API_VERSION: Final = "admission.k8s.io/v1"

PATIENCE_SECONDS: Final = 10.0
"""For the body of a review. The API server sends it at once, and itself waits 5 s; whoever dribbles would have memory kept for it."""

PROFILE_LOOKS: Final = 10
PROFILE_LOOK_SECONDS: Final = 0.1
"""A second in all, far below the registration's time limit; a watch event takes some milliseconds."""

_log = logging.getLogger(__name__)

Review = dict[str, Any]


class Admission:
    """Answers at /admit; every replica does, and asks nobody: profiles come from the store, facts from the object."""

    path: Final = "/admit"

    def __init__(
        self,
        client: Client,
        profiles: Callable[[], Mapping[str, AcceleratorProfile]],
        default_profile: str,
        *,
        namespace: str,
        service: str,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._profiles = profiles
        self._default_profile = default_profile
        self._namespace = namespace
        self._service = service
        self._patience_seconds = patience_seconds
        self.application = web.Application()
        self.application.router.add_post("", self._admit)

    async def prepare(self) -> None:
        """Nothing to read. The API server shows no certificate to a webhook; what it asks reveals nothing and changes nothing."""

    async def publish(self, bundle: str) -> bool:
        """Have the registration trust the bundle; True where there is one that leads to this Service. One of another name is not ours."""
        found = await self._client.get(VALIDATING_WEBHOOK_CONFIGURATION, None, self._service)
        webhooks = [] if found is None else [webhook for webhook in found.get("webhooks") or () if self._leads_here(webhook)]
        encoded = base64.b64encode(bundle.encode()).decode()
        if any(webhook["clientConfig"].get("caBundle") != encoded for webhook in webhooks):
            manifest = {
                "apiVersion": VALIDATING_WEBHOOK_CONFIGURATION.api_version,
                "kind": VALIDATING_WEBHOOK_CONFIGURATION.kind,
                "metadata": {"name": self._service},
                "webhooks": [{"name": webhook["name"], "clientConfig": {"caBundle": encoded}} for webhook in webhooks],
            }
            await self._client.apply(manifest, field_manager=FIELD_MANAGER)
        return bool(webhooks)

    def _leads_here(self, webhook: Mapping[str, Any]) -> bool:
        backend = webhook["clientConfig"].get("service") or {}
        return (backend.get("namespace"), backend.get("name")) == (self._namespace, self._service)

    async def _admit(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self._patience_seconds):
                content = await request.read()
        except TimeoutError:
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
        try:
            # In threads: whoever reaches the port may send MiBs that take seconds, and the Lease is renewed on the loop.
            question = (await asyncio.to_thread(json.loads, content))["request"]
            await self._profile_arrives(question["object"])
            answer = await asyncio.to_thread(answered, question, Surroundings(self._profiles(), self._default_profile))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # The object may hold what is nobody's business: of the error only its kind is logged.
            _log.warning("A review could not be read: %s", type(error).__name__)
            return web.Response(status=HTTPStatus.BAD_REQUEST, text="not an AdmissionReview of an object of ours")
        return web.json_response({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": answer})

    async def _profile_arrives(self, raw: Mapping[str, Any]) -> None:
        """Wait a moment for a profile that is not there: a file may hold it before the service that names it, and the watch brings it a little later."""
        name = ((raw.get("spec") or {}).get("accelerator") or {}).get("profile")
        for _ in range(PROFILE_LOOKS):
            if name is None or name in self._profiles():
                return
            await asyncio.sleep(PROFILE_LOOK_SECONDS)


def answered(question: Mapping[str, Any], around: Surroundings) -> Review:
    """The response to the request of an AdmissionReview; a dry run gets the same one, for nothing is ever written."""
    raw, before = question["object"], question.get("oldObject") or {}
    response: Review = {"uid": question["uid"], "allowed": True}
    if raw["metadata"].get("deletionTimestamp") or (before and before.get("spec") == raw.get("spec")):
        return response
    # Status is not what this request changes: the old one is the operator's word.
    kept = {field: value for field, value in raw.items() if field != "status"} | ({"status": before["status"]} if "status" in before else {})
    found = review.review(kept, around)
    if warnings := [violation.message for violation in found if violation.warning]:
        response["warnings"] = warnings
    if refusals := [violation for violation in found if not violation.warning]:
        response |= {"allowed": False, "status": _invalid(refusals)}
    return response


def _invalid(refusals: list[Violation]) -> Review:
    """A Status as the API server words its own refusals; every message on a line of its own."""
    messages = [violation.message for violation in refusals]
    return {
        "status": "Failure",
        "code": HTTPStatus.UNPROCESSABLE_ENTITY.value,
        "reason": "Invalid",
        "message": messages[0] if len(messages) == 1 else "".join(f"\n- {message}" for message in messages),
    }
