"""`python -m e2e.cluster`: the cluster by hand."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from e2e.cluster.bare import MAX_NODES, BareCluster
from e2e.cluster.images import IMAGES
from e2e.cluster.prerequisites import MissingPrerequisiteError
from e2e.cluster.progress import say
from e2e.cluster.provider import ClusterProvider, Component
from e2e.cluster.readiness import NotReadyError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code: 0 done, 1 failed or not ready, 2 something is missing."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except MissingPrerequisiteError as error:
        say(f"error: {error}")
        return 2
    except (NotReadyError, RuntimeError, OSError) as error:
        say(f"error: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(f"error: {' '.join(map(str, error.cmd))} exited with {error.returncode} {error.stderr or ''}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command continues, `down` removes everything")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description="A Kubernetes cluster of processes on this machine, for end-to-end tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="make the cluster, or complete it")
    up.add_argument("--nodes", type=int, default=1, choices=range(1, MAX_NODES + 1), metavar="N", help=f"how many nodes, at most {MAX_NODES} (default 1)")
    up.add_argument("--accelerators", type=int, default=4, help="how many nvidia.com/gpu each node claims to have (default 4)")
    up.add_argument("--image", action="append", default=[], choices=sorted(IMAGES), help="also load this image; may be repeated")
    verbs.add_parser("status", help="print what runs and what is ready")
    down = verbs.add_parser("down", help="remove the cluster; programs and images stay in the cache")
    down.add_argument("--purge", action="store_true", help="remove the cache too")
    load = verbs.add_parser("load-image", help="make images from the present sources and put them on the nodes")
    load.add_argument("names", nargs="+", choices=sorted(IMAGES))
    model = verbs.add_parser("model", help="make a claim that holds the tiny model")
    model.add_argument("namespace")
    model.add_argument("claim")
    verbs.add_parser("kubeconfig", help="print the kubeconfig's path")
    return parser


def _run(options: argparse.Namespace) -> int:
    cluster: ClusterProvider = BareCluster(nodes=getattr(options, "nodes", 1), accelerators=getattr(options, "accelerators", 4))
    match options.verb:
        case "up":
            cluster.up()
            for name in options.image:
                cluster.load_image(name)
            print(f"export KUBECONFIG={cluster.kubeconfig()}")
        case "down":
            cluster.down(purge=options.purge)
        case "load-image":
            for name in options.names:
                cluster.load_image(name)
        case "model":
            cluster.ensure_model(options.namespace, options.claim)
        case "kubeconfig":
            print(cluster.kubeconfig())
        case "status":
            return _print_status(cluster.status())
    return 0


def _print_status(found: Sequence[Component]) -> int:
    if not found:
        print("no cluster; make one with: python -m e2e.cluster up")
        return 1
    width = max(len(component.name) for component in found)
    for component in found:
        print(f"{component.name:<{width}}  {'ready' if component.ready else 'DOWN ':<5}  {component.detail}")
    return 0 if all(component.ready for component in found) else 1


if __name__ == "__main__":
    sys.exit(main())
