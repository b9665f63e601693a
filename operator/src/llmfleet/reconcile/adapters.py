"""The adapters over all replicas: from what is wanted and what each replica reports. Pure.

An adapter that fails is no failure of the service: the model and the other adapters answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmfleet.api.v1alpha1 import AdapterStatus
from llmfleet.names import Reason
from llmfleet.reconcile.desired import Accepted, Refused
from llmfleet.reconcile.replicas import Replica
from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.location import locate
from llmfleet.scrape.report import AdapterReport, AdapterState

UNSEEN: Final = "not every replica has it in its list yet; the kubelets renew the lists within about a minute and a half"
"""Of an adapter that a replica does not know of. (kubernetes: the kubelet's sync period of a minute, and the age of its cache.)"""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the condition AdaptersReady says."""

    ready: bool
    reason: Reason
    message: str


def adapters(decision: Accepted | Refused, replicas: Iterable[Replica], before: Manifest, *, applied: bool) -> list[AdapterStatus]:
    """Return the state of each adapter of a service; what the status said `before` where what is wanted now is not `applied`."""
    known = _read(before.get("adapters", []))
    if isinstance(decision, Refused) or not applied:
        return known
    return adapter_statuses({adapter.name: adapter.path for adapter in locate(decision.blueprint).adapters}, replicas, known)


def adapter_statuses(wanted: Mapping[str, str], replicas: Iterable[Replica], before: Sequence[AdapterStatus]) -> list[AdapterStatus]:
    """Return the state of each wanted adapter, by name.

    `wanted` gives the directory in the pod by the name, and so tells a version from the one before it. Only ready replicas count. While one of them has
    not been heard, an adapter may be seen to fail or to load but not to be loaded everywhere, and what was said `before` holds.
    """
    ready = [replica for replica in replicas if replica.ready]
    heard = [{adapter.name: adapter for adapter in known} for replica in ready if replica.report is not None and (known := replica.report.adapters) is not None]
    complete = bool(ready) and len(heard) == len(ready)
    shown = {status.name: status for status in before}
    return [_status(name, path, [known.get(name) for known in heard], shown.get(name), complete=complete) for name, path in sorted(wanted.items())]


def _status(name: str, path: str, found: Sequence[AdapterReport | None], before: AdapterStatus | None, *, complete: bool) -> AdapterStatus:
    current = [adapter if adapter is not None and adapter.path in (None, path) else None for adapter in found]
    if failed := [adapter.message for adapter in current if adapter is not None and adapter.state is AdapterState.FAILED]:
        return AdapterStatus(name=name, state="Failed", message=_steady(failed, before, "Failed"))
    if None in current:
        return AdapterStatus(name=name, state="Loading", message=UNSEEN)
    if loading := [adapter.message for adapter in current if adapter is not None and adapter.state is AdapterState.LOADING]:
        return AdapterStatus(name=name, state="Loading", message=_steady(loading, before, "Loading"))
    return AdapterStatus(name=name, state="Loaded") if complete else before or AdapterStatus(name=name, state="Loading")


def _steady(messages: Iterable[str], before: AdapterStatus | None, state: str) -> str:
    """Of the words of several replicas those that are shown already, else always the same."""
    known = sorted(set(messages))
    return before.message if before is not None and before.state == state and before.message in known else known[0]


def _read(before: Sequence[Manifest]) -> list[AdapterStatus]:
    """What was shown last; nothing where that is of another version."""
    shown = [AdapterStatus.from_wire(adapter) for adapter in before]
    known = [status for status in shown if status is not None]
    return known if len(known) == len(shown) else []


def summary(adapters: Sequence[AdapterStatus]) -> Summary | None:
    """Return what to say of all adapters; None without any."""
    if not adapters:
        return None
    failed = [adapter for adapter in adapters if adapter.state == "Failed"]
    loading = [adapter for adapter in adapters if adapter.state == "Loading"]
    if failed:
        return Summary(ready=False, reason=Reason.ADAPTER_FAILED, message=f"{_each(failed)}; the model and every other adapter answer")
    if loading:
        return Summary(ready=False, reason=Reason.ADAPTERS_LOADING, message=_each(loading))
    return Summary(
        ready=True, reason=Reason.ADAPTERS_LOADED, message=f"every replica that answers has loaded {', '.join(adapter.name for adapter in adapters)}"
    )


def _each(adapters: Iterable[AdapterStatus]) -> str:
    return "; ".join(f"{adapter.name}: {adapter.message}" if adapter.message else adapter.name for adapter in adapters)
