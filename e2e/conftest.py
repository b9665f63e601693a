"""One cluster for the whole session, left running: `make down` removes it, and a second run finds it."""

from collections.abc import Iterator

import pytest

from e2e.cluster.bare import BareCluster
from e2e.fleet import IMAGES, Fleet


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """A cluster with the images of this checkout, and the operator installed."""
    # Making the cluster takes minutes on a fresh machine: its progress is shown as it comes, not when everything is over.
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        cluster = BareCluster()
        cluster.up()
        for name in IMAGES:
            cluster.load_image(name)
    fleet = Fleet.on(cluster)
    fleet.install()
    # The demo's engines, if they run: two engines at a time are all that a small machine bears.
    fleet.kubectl.must("delete", "llm", "--all", "--all-namespaces", "--cascade=foreground", "--timeout=120s")
    return fleet


@pytest.fixture(scope="session")
def second_node(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a second node with the same images; it comes with the first test that asks for it, and goes with the session."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        BareCluster(nodes=2).up()
        for name in IMAGES:
            fleet.cluster.load_image(name)
    yield "node1"
    fleet.cluster.up()


@pytest.fixture(scope="module")
def namespace(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the module's own, restricted, with the claim `models`; deleted at the end, and with it its engines."""
    name = request.module.__name__.rsplit(".", 1)[-1].replace("_", "-")
    fleet.kubectl.must("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")
    fleet.namespace(name)
    fleet.cluster.ensure_model(name, "models")
    yield name
    fleet.kubectl.must("delete", "namespace", name, "--timeout=240s")


@pytest.fixture(scope="module")
def failed_before(request: pytest.FixtureRequest) -> int:
    """How many tests of other modules have failed."""
    return request.session.testsfailed


@pytest.fixture
def in_order(request: pytest.FixtureRequest, failed_before: int) -> None:
    """For modules whose tests go on where the one before ended."""
    if request.session.testsfailed > failed_before:
        pytest.skip("a test before it failed, and this one goes on where that one should have ended")
