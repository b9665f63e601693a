"""The custom metrics API as it stands behind the TLS port: who may come, and who is told to trust us."""

import base64
from typing import Final

from aiohttp import web

from llmfleet.kube.client import Client
from llmfleet.kube.kinds import API_SERVICE, CONFIG_MAP
from llmfleet.metrics_api import front_proxy
from llmfleet.metrics_api.application import Read, application
from llmfleet.metrics_api.authorization import Authorizer
from llmfleet.metrics_api.front_proxy import FrontProxy, FrontProxyError
from llmfleet.tls.serving_certificate import FIELD_MANAGER

API_SERVICE_NAME: Final = "v1beta2.custom.metrics.k8s.io"


class MetricsApi:
    """Everything below /apis: nobody but the aggregator gets an answer there."""

    path: Final = "/apis"

    def __init__(self, client: Client, read: Read, *, namespace: str, service: str) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service
        self._front_proxy: FrontProxy | None = None
        self.application: web.Application = application(lambda: self._front_proxy, Authorizer(client), read)

    async def prepare(self) -> str:
        """Read how the aggregator authenticates; give the CA of its certificate."""
        config_map = await self._client.get(CONFIG_MAP, front_proxy.NAMESPACE, front_proxy.CONFIG_MAP_NAME)
        if config_map is None:
            raise FrontProxyError(f"there is no ConfigMap {front_proxy.NAMESPACE}/{front_proxy.CONFIG_MAP_NAME}")
        self._front_proxy = front_proxy.parse(config_map.get("data") or {})
        return self._front_proxy.client_ca_pem

    async def publish(self, bundle: str) -> bool:
        """Have the APIService trust the bundle; nothing is written where it does, or where it is not ours but another adapter's. True where it is ours."""
        api_service = await self._client.get(API_SERVICE, None, API_SERVICE_NAME)
        if api_service is None:
            return False
        backend = api_service["spec"].get("service") or {}
        if (backend.get("namespace"), backend.get("name")) != (self._namespace, self._service):
            return False
        encoded = base64.b64encode(bundle.encode()).decode()
        if api_service["spec"].get("caBundle") != encoded:
            manifest = {
                "apiVersion": API_SERVICE.api_version,
                "kind": API_SERVICE.kind,
                "metadata": {"name": API_SERVICE_NAME},
                "spec": {"caBundle": encoded},
            }
            await self._client.apply(manifest, field_manager=FIELD_MANAGER)
        return True
