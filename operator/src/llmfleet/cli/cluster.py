"""What `llmfleet status` asks of the API server: reads, with the rights of whoever asks."""

import asyncio

import kopf

from llmfleet import names
from llmfleet.cli.exit_status import CommandError, ExitStatus
from llmfleet.cli.status import Service
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import LLMSERVICE, POD
from llmfleet.kube.objects import Object, key_of, labels_of
from llmfleet.server import connection


def services(namespace: str | None, name: str | None, *, everywhere: bool) -> list[Service]:
    """The services of a namespace (the kubeconfig's, where none is given) or of all, or the one of a name, with their engine pods."""
    try:
        info = connection.login(kopf.OperatorSettings())
    except (kopf.LoginError, OSError, ValueError) as error:
        raise CommandError(f"no cluster: {error}; set KUBECONFIG, or choose a context with kubectl config use-context", ExitStatus.UNREACHABLE) from error
    chosen = None if everywhere else namespace or info.default_namespace or "default"
    try:
        return asyncio.run(_read(info, chosen, name))
    except ApiError as error:
        raise CommandError(f"{info.server}: {error.message}; {_remedy(error)}", ExitStatus.UNREACHABLE) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{info.server}: the kubeconfig's certificates cannot be used: {error}", ExitStatus.UNREACHABLE) from error


async def _read(info: kopf.ConnectionInfo, namespace: str | None, name: str | None) -> list[Service]:
    async with connection.session(info) as session:
        client = Client(lambda: (session, info.server))
        if name is not None:
            found = await client.get(LLMSERVICE, namespace, name)
            if found is None:
                raise CommandError(f"there is no LLMService {namespace}/{name}: llmfleet status -A shows all")
            listed = [found]
        else:
            listed = list(await client.list(LLMSERVICE, namespace=namespace))
        selector = ",".join(filter(None, (f"{names.LABEL_ROLE}={names.ROLE_ENGINE}", f"{names.LABEL_SERVICE}={name}" if name else "")))
        pods = await client.list(POD, namespace=namespace, label_selector=selector)
    return [Service(raw, tuple(pod for pod in pods if _of(pod, raw))) for raw in listed]


def _of(pod: Object, raw: Object) -> bool:
    return key_of(raw) == (pod["metadata"]["namespace"], labels_of(pod).get(names.LABEL_SERVICE))


def _remedy(error: ApiError) -> str:
    if error.not_found:
        return "the cluster does not know LLMServices: install the chart (docs/install.md)"
    if error.forbidden:
        return "ask for the role `view` in the namespace, or name one that you may read with -n"
    if error.status == 401:
        return "log in again: the credentials of the kubeconfig are not taken"
    return "check that the cluster runs, and that kubectl get llmservices works"
