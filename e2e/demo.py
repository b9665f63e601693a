"""`make demo`: from nothing to an answer and a scale-up, each step with what it took; run again, it does only what is not done yet."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

from e2e.cluster.bare import BareCluster
from e2e.cluster.prerequisites import MissingPrerequisiteError
from e2e.cluster.progress import say, step
from e2e.fleet import IMAGES, Fleet, answers, example

NAMESPACE = "demo"
NAME = "tiny"
MANIFEST = "pvc-autoscaling-queue.yaml"
LOAD = {"requests": 2_000, "concurrency": 32, "max_tokens": 256}
"""Clients of the scale-up: ended as soon as the HPA has seen their queue, so that the second engine has a processor to start on."""

STEADY = {"scaleDown": {"stabilizationWindowSeconds": 300}}
"""Kubernetes' default: the second replica stays for five minutes after the load is over, long enough to see it answer."""

HOW_TO_GO_ON = """
Go on with it:
  export KUBECONFIG={kubeconfig}
  {kubectl} -n {namespace} get llm,hpa,pods
  {kubectl} -n {namespace} describe llm {name}
  {kubectl} -n {namespace} port-forward service/{name} 8000:80      # goes on until Ctrl-C; then, in another terminal:
  curl http://127.0.0.1:8000/v1/models
  {kubectl} -n {namespace} delete llm {name}                  # before another example: two engines at once are all that a small machine bears
  {kubectl} -n {namespace} apply -f examples/pvc-minimal.yaml
  make down

On a GPU cluster: build the two images (operator/Dockerfile, runtime/Dockerfile), `helm install` the chart with them (docs/install.md), and in the manifest
set accelerator.profile: nvidia and model.source: hf://owner/repository, and leave out engine.image, memoryUtilization, the CPU's env and --enforce-eager.
"""


def main() -> int:
    """Run the demo; 2 when something is missing on the machine."""
    try:
        _demo()
    except MissingPrerequisiteError as error:
        say(f"error: {error}")
        return 2
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        say(f"error: {error}")
        say("`make demo` again goes on where it stopped; `make down` removes everything")
        return 1
    except KeyboardInterrupt:
        say("interrupted: `make demo` again goes on where it stopped; `make down` removes everything")
        return 130
    return 0


def _demo() -> None:
    began = time.monotonic()
    cluster = BareCluster()
    with step("cluster"):
        cluster.up()
    with step("images of the operator, the runtime and vLLM"):
        for image in IMAGES:
            cluster.load_image(image)
    fleet = Fleet.on(cluster)
    with step("the operator, by Helm"):
        fleet.install()
    with step("a model on a volume"):
        fleet.namespace(NAMESPACE)
        cluster.ensure_model(NAMESPACE, "models")
    manifest = example(MANIFEST, autoscaling={"behavior": STEADY})
    manifest["metadata"] = {"name": NAME, "namespace": NAMESPACE}
    fleet.kubectl.must("apply", "-f", "-", given=manifest)
    with step(f"LLMService {NAME} (examples/{MANIFEST}) becomes Ready"):
        _follow(lambda: _ready(fleet), "Ready", seconds=420)
    say("")
    _answer(fleet)
    _show(fleet, "llm")
    _scale_up(fleet)
    say(f"\nThe demo took {time.monotonic() - began:.0f} s.")
    print(HOW_TO_GO_ON.format(kubeconfig=cluster.kubeconfig(), kubectl=fleet.kubectl.path, namespace=NAMESPACE, name=NAME))


def _answer(fleet: Fleet) -> None:
    say("A chat completion through the Service, streamed, by the openai client (a random model: words without sense):")
    url = fleet.url(NAME, NAMESPACE)
    done = subprocess.run(_command(fleet, url), check=False)
    if done.returncode != 0:
        raise RuntimeError("the answer did not come to its end")
    say("")


def _command(fleet: Fleet, url: str) -> list[str]:
    """Return the command that asks once and shows the answer as it comes."""
    return fleet.cluster.inside([sys.executable, "-m", "e2e.chat", "--url", url, "--model", NAME, "--max-tokens", "40", "--show"])


def _scale_up(fleet: Fleet) -> None:
    say(f"\nA bounded load ({LOAD['concurrency']} clients): the queue grows, and the HPA follows.")
    load = fleet.chat(fleet.url(NAME, NAMESPACE), NAME, **LOAD)
    try:
        with step("the HPA goes from 1 to 2"):
            _follow(lambda: _hpa(fleet, 2), "HPA", seconds=120)
    finally:
        load.terminate()
        load.wait()
    with step("the second replica answers"):
        _follow(lambda: _two_ready(fleet), "replicas", seconds=240)
    for pod in fleet.ready_engines(NAME, NAMESPACE):
        (answer,) = answers(fleet.chat(f"http://{pod['status']['podIP']}:8000/v1", NAME, max_tokens=8), within_seconds=120)
        say(f"  {pod['metadata']['name']} answers: {answer.tokens} tokens, finish_reason {answer.finish_reason}")
    _show(fleet, "llm")
    _show(fleet, "hpa")


def _follow(look: Callable[[], tuple[bool, str]], what: str, *, seconds: float) -> None:
    """Look once a second until it is done, and say what is seen whenever it changes."""
    deadline, shown = time.monotonic() + seconds, ""
    while True:
        done, seen = look()
        if seen != shown:
            say(f"    {what}: {seen}")
            shown = seen
        if done:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:g} s; last seen: {seen}")
        time.sleep(1)


def _ready(fleet: Fleet) -> tuple[bool, str]:
    try:
        ready = fleet.condition(NAME, NAMESPACE, "Ready")
    except AssertionError:
        return False, "the operator has not looked at it yet"
    return ready["status"] == "True", f"{ready['status']}, {ready['reason']}: {ready['message']}"


def _hpa(fleet: Fleet, wanted: int) -> tuple[bool, str]:
    found = fleet.kubectl.get("hpa", f"{NAME}-engine", NAMESPACE) or {}
    status = found.get("status", {})
    current = next((metric["object"]["current"].get("averageValue") for metric in status.get("currentMetrics") or () if metric["type"] == "Object"), "unknown")
    return status.get("desiredReplicas") == wanted, f"demand per replica {current}, desired {status.get('desiredReplicas')}"


def _two_ready(fleet: Fleet) -> tuple[bool, str]:
    number = len(fleet.ready_engines(NAME, NAMESPACE))
    decision = fleet.service(NAME, NAMESPACE)["status"].get("autoscaling", {}).get("lastDecision", {})
    return number == 2, f"{number} of 2 answer; last decision: {json.dumps(decision.get('reason', ''))}"


def _show(fleet: Fleet, resource: str) -> None:
    say(f"\n$ kubectl -n {NAMESPACE} get {resource}")
    say(fleet.kubectl.must("-n", NAMESPACE, "get", resource))


if __name__ == "__main__":
    sys.exit(main())
