"""The commands of the pods: `install` and `launch` for the engine's, from the archive; `inspect`, `fetch` and `fetch-adapters`, from the runtime's image."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code (zipapp's entry does not pass a result on)."""
    if sys.version_info < (3, 11):  # noqa: UP036 the interpreter is the engine image's, not ours to require
        sys.exit(f"llmfleet: Python 3.11 or newer is needed in the engine's image, this is {sys.version.split()[0]}")
    argv = list(sys.argv[1:] if arguments is None else arguments)
    head, command = _split(argv)
    options = _parser().parse_args(head)
    if options.command == "install":
        from llmfleet_runtime.archive import install

        install(options.directory)
        sys.exit(0)
    if options.command in ("inspect", "fetch"):
        sys.exit(_model(options))
    if options.command == "fetch-adapters":
        sys.exit(_adapters(options))
    if not command:
        _parser().error("launch needs a command after --")
    # A SIGTERM before the handlers are there would be lost for ever: the kernel drops what pid 1 does not handle. A blocked one waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from llmfleet_runtime.launcher import launch
    from llmfleet_runtime.settings import Settings

    launch(
        Settings.from_environment(
            command=tuple(command),
            port=options.port,
            engine_port=options.engine_port,
            drain_timeout_seconds=options.drain_timeout_seconds,
            minimum_drain_seconds=options.minimum_drain_seconds,
            stall_timeout_seconds=options.stall_timeout_seconds,
            watch_interval_seconds=options.watch_interval_seconds,
            start_timeout_seconds=options.start_timeout_seconds,
            max_request_bytes=options.max_request_bytes,
            accelerators=options.accelerators,
            minimum_capability=options.minimum_capability,
            adapters=options.adapters,
        )
    )


def _model(options: argparse.Namespace) -> int:
    """Run a command of the package that only the runtime's image has."""
    try:
        from llmfleet_runtime.model.command import run_fetch, run_inspect
        from llmfleet_runtime.model.source import parse
    except ModuleNotFoundError as error:
        sys.exit(_elsewhere(options.command, error))
    try:
        source = parse(options.source)
    except ValueError as error:
        _parser().error(str(error))
    if options.command == "inspect":
        return run_inspect(source)
    return run_fetch(source, options.directory, options.progress_port, adapter=options.adapter)


def _adapters(options: argparse.Namespace) -> int:
    """Run the sidecar, of the same package."""
    try:
        from llmfleet_runtime.model.adapter_fetching import run_fetch_adapters
    except ModuleNotFoundError as error:
        sys.exit(_elsewhere(options.command, error))
    return run_fetch_adapters(options.file, options.fetcher, options.directory)


def _elsewhere(command: str, error: ModuleNotFoundError) -> str:
    return f"llmfleet: {command} runs in the runtime's image, as python3 -m llmfleet_runtime {command}: {error}"


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """What is ours, and what follows the first `--`: argparse must never see the engine's flags."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runtime.pyz", description="Runs beside vLLM in the engine pod.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="copy this archive to DIRECTORY/runtime.pyz", allow_abbrev=False)
    install.add_argument("directory", type=Path)
    launch = commands.add_parser("launch", help="run an engine: launch [OPTIONS] -- vllm serve MODEL FLAGS...", allow_abbrev=False)
    launch.add_argument("--port", type=int, default=8001, help="port of /readyz, /livez, /report and /metrics (default %(default)s)")
    launch.add_argument("--engine-port", type=int, default=8000, help="port of vLLM (default %(default)s)")
    launch.add_argument("--drain-timeout-seconds", type=_seconds, default=300.0, help="longest wait for requests after SIGTERM (default %(default)s)")
    launch.add_argument("--minimum-drain-seconds", type=_seconds, default=3.0, help="serve at least so long after SIGTERM (default %(default)s)")
    launch.add_argument(
        "--stall-timeout-seconds", type=_seconds, default=300.0, help="requests run and no engine step is made for so long: not alive (default %(default)s)"
    )
    launch.add_argument("--watch-interval-seconds", type=_seconds, default=5.0, help="how often a serving engine is looked at (default %(default)s)")
    launch.add_argument("--start-timeout-seconds", type=_seconds, default=3600.0, help="longest wait for the first answer (default %(default)s)")
    launch.add_argument("--max-request-bytes", type=_count, default=64 * 1024**2, help="longest body of a request (default %(default)s)")
    launch.add_argument("--accelerators", type=_count, help="NVIDIA devices that the pod has asked for (default: not looked for)")
    launch.add_argument("--minimum-capability", type=_capability, help="lowest compute capability that will do, as 8.0 (default: any)")
    launch.add_argument("--adapters", type=Path, metavar="FILE", help="list of adapters to keep loaded (default: none)")
    source = "hf://owner/repository[@revision], modelscope://..., s3://bucket/path, gs://bucket/path or an absolute directory"
    inspect = commands.add_parser("inspect", help="print what is known of a model without its weights", allow_abbrev=False)
    inspect.add_argument("source", metavar="SOURCE", help=source)
    fetch = commands.add_parser("fetch", help="fill DIRECTORY with a model, once", allow_abbrev=False)
    fetch.add_argument("source", metavar="SOURCE", help=source)
    fetch.add_argument("directory", metavar="DIRECTORY", type=Path, help="below the claim's mount; it appears when it is whole")
    fetch.add_argument("--progress-port", type=int, help="port of /report (default: none)")
    fetch.add_argument("--adapter", action="store_true", help="a LoRA adapter: its configuration and its weights, and nothing else of the source")
    fetch_adapters = commands.add_parser("fetch-adapters", help="fetch what a list of adapters names, and go on doing so", allow_abbrev=False)
    fetch_adapters.add_argument("file", metavar="FILE", type=Path, help="the list, in a directory that the kubelet renews")
    fetch_adapters.add_argument("--fetcher", type=int, required=True, help="fetch those that have this number in the list")
    fetch_adapters.add_argument("--directory", type=Path, required=True, help="where their paths lie")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"not a whole number above 0: {text}")
    return value


def _capability(text: str) -> tuple[int, int]:
    major, dot, minor = text.partition(".")
    if not (major.isdigit() and dot and minor.isdigit()):
        raise argparse.ArgumentTypeError(f"not a compute capability as 8.0: {text}")
    return int(major), int(minor)


if __name__ == "__main__":
    main()
