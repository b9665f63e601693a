"""The verbs of the command `llmfleet`. Each imports what it needs when it is called: `llmfleet --help` waits for no library."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from llmfleet.cli.exit_status import CommandError, ExitStatus

RUNTIME_IMAGE: Final = "localhost/llmfleet-runtime:0.1.0"
"""What the chart of this version takes where nobody says otherwise."""


class OutputFormat(StrEnum):
    """For whom a verb writes."""

    TEXT = "text"
    JSON = "json"


class _Verbs(TyperGroup):
    """Ends the command with the words and the status of a CommandError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.status) from error


app = typer.Typer(
    name="llmfleet",
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Fleets of vLLM servers on Kubernetes. render, validate and plan need no cluster. Exit status: 0 done, 1 refused, 2 wrong usage or unreadable input, "
    "3 the cluster cannot be reached.",
)

Files = Annotated[
    list[str], typer.Option("--filename", "-f", metavar="FILE|FOLDER|-", help="What to read: YAML or JSON, folders with all below, - for standard input.")
]
DefaultProfile = Annotated[
    str, typer.Option(metavar="PROFILE", envvar="LLMFLEET_DEFAULT_PROFILE", help="Accelerator profile of services that name none; operator.defaultProfile.")
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="text for people, json for programs.")]
FactsFiles = Annotated[list[Path] | None, typer.Option("--facts", metavar="FACTS.json", help="What `llmfleet-runtime inspect` printed about a model.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("llmfleet-operator"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """Take the options that stand before a verb."""


@app.command()
def render(
    filename: Files,
    runtime_image: Annotated[
        str, typer.Option(metavar="IMAGE", envvar="LLMFLEET_RUNTIME_IMAGE", help="Image of the init container; runtimeImage of the chart.")
    ] = RUNTIME_IMAGE,
    default_profile: DefaultProfile = "nvidia",
    minimum_drain_seconds: Annotated[
        float, typer.Option(min=0, max=60, envvar="LLMFLEET_MINIMUM_DRAIN_SECONDS", help="operator.minimumDrainSeconds of the chart.")
    ] = 3,
    jobs: Annotated[bool, typer.Option("--all", help="Also the Jobs that look at the model and fill the cache.")] = False,
) -> None:
    """Print what the operator would apply. Nothing is printed where anything is refused."""
    from llmfleet.cli import documents
    from llmfleet.cli import render as rendering
    from llmfleet.resources.blueprint import Platform

    given = documents.read(filename)
    result = rendering.render(given, Platform(runtime_image, minimum_drain_seconds), default_profile, jobs=jobs)
    for line in (*given.unreadable, *(finding.line for finding in result.findings), *result.missing):
        typer.echo(line, err=True)
    if given.unreadable:
        raise typer.Exit(ExitStatus.USAGE)
    if any(not finding.violation.warning for finding in result.findings):
        raise typer.Exit(ExitStatus.REFUSED)
    if not result.manifests:
        raise CommandError("there is no LLMService in what was read")
    typer.echo(rendering.as_yaml(result.manifests), nl=False)


@app.command()
def validate(filename: Files, facts: FactsFiles = None, default_profile: DefaultProfile = "nvidia", output: Output = OutputFormat.TEXT) -> None:
    """Say what is wrong with LLMServices and AcceleratorProfiles, as admission and the operator would; objects of other kinds are skipped."""
    from llmfleet.cli import documents
    from llmfleet.cli import facts as known
    from llmfleet.cli import validate as validation
    from llmfleet.cli.objects import surroundings

    given = documents.read(filename)
    if not given.objects and not given.unreadable:
        # As kubectl: a pipe whose other end has failed must not pass for a valid manifest.
        raise CommandError("nothing to validate: there is no object in what was read")
    result = validation.validate(given, surroundings(given, default_profile, known.from_files(facts or [])))
    if output is OutputFormat.JSON:
        typer.echo(validation.as_json(result))
    else:
        for line in (*result.unreadable, *(finding.line for finding in result.findings)):
            typer.echo(line, err=True)
        typer.echo(result.summary)
    raise typer.Exit(result.status)


@app.command()
def plan(
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", metavar="FILE|FOLDER|-", help="LLMServices to plan, and AcceleratorProfiles of your own.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="SOURCE", help="Plan this model, hf://owner/name, instead of the LLMServices of files.")] = None,
    facts: FactsFiles = None,
    config: Annotated[Path | None, typer.Option(metavar="CONFIG.json", help="The model's own config.json, where there are no facts.")] = None,
    accelerator: Annotated[list[str] | None, typer.Option(metavar="PROFILE", help="Accelerator profile; several are compared side by side.")] = None,
    tensor: Annotated[int | None, typer.Option(min=1, help="Overrides spec.parallelism.tensor.")] = None,
    pipeline: Annotated[int | None, typer.Option(min=1, help="Overrides spec.parallelism.pipeline.")] = None,
    max_length: Annotated[str | None, typer.Option(metavar="TOKENS", help="Overrides spec.model.maxLength: 32768, 32k, auto.")] = None,
    quantization: Annotated[str | None, typer.Option(metavar="METHOD", help="Overrides spec.quantization.method.")] = None,
    kv_cache: Annotated[str | None, typer.Option(metavar="TYPE", help="Overrides spec.quantization.kvCache.")] = None,
    default_profile: DefaultProfile = "nvidia",
    output: Output = OutputFormat.TEXT,
) -> None:
    """Say whether models fit their accelerators, with the arithmetic and what to change. Exit status 1 where one fits none of them."""
    from llmfleet import names
    from llmfleet.cli import documents
    from llmfleet.cli import facts as known
    from llmfleet.cli import plan as planning
    from llmfleet.cli.console import console
    from llmfleet.cli.objects import surroundings

    given = documents.read(filename) if filename else documents.Input()
    if given.unreadable:
        raise CommandError("\n".join(given.unreadable))
    wanted = [planning.of_model(model)] if model is not None else [document.content for document in given.of_kind(names.LLMSERVICE)]
    if not wanted:
        raise CommandError("nothing to plan: give --model SOURCE, or -f FILE with an LLMService")
    if config is not None and len(wanted) > 1:
        raise CommandError(f"--config is about one model, and there are {len(wanted)} LLMServices: give --facts, which names its source")
    around = surroundings(given, default_profile, known.from_files(facts or []))
    options = {
        "tensor": tensor,
        "pipeline": pipeline,
        "max_length": int(max_length) if max_length is not None and max_length.isdecimal() else max_length,
        "quantization": quantization,
        "kv_cache": kv_cache,
    }
    comparisons = [planning.compare(planning.changed(raw, options), around, accelerator or [], config) for raw in wanted]
    if output is OutputFormat.JSON:
        typer.echo(planning.as_json(comparisons))
    else:
        where = console()
        for position, comparison in enumerate(comparisons):
            if position:
                where.print()
            planning.show(where, comparison)
    raise typer.Exit(max(comparison.status for comparison in comparisons))


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One LLMService with every fact; without, one line for each.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Its namespace. Default: that of the kubeconfig.")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show the fleet as the cluster has it, each fact with its evidence: declared, computed, reported or observed."""
    from llmfleet.cli import cluster
    from llmfleet.cli import status as fleet
    from llmfleet.cli.console import console

    if name is not None and everywhere:
        raise CommandError("a name is one of a namespace: give -n NAMESPACE, or leave the name out")
    services = cluster.services(namespace, name, everywhere=everywhere)
    if output is OutputFormat.JSON:
        typer.echo(fleet.as_json(services))
    elif name is not None:
        fleet.show(console(), services[0])
    elif services:
        fleet.show_fleet(console(), services)
    else:
        typer.echo("there is no LLMService here: llmfleet status -A shows all", err=True)


@app.command()
def crds(
    output_dir: Annotated[Path | None, typer.Option(help="Write the files there instead of printing them.")] = None,
    show_reference: Annotated[bool, typer.Option("--reference", help="Print the table of fields (docs/reference.md) instead.")] = False,
) -> None:
    """Print the CustomResourceDefinitions: `llmfleet crds | kubectl apply --server-side -f -`."""
    from llmfleet.api import crd
    from llmfleet.cli import reference

    if show_reference:
        typer.echo(reference.markdown(), nl=False)
    elif output_dir is None:
        typer.echo("---\n".join(content for _, content in crd.crds()), nl=False)
    else:
        try:
            output_dir.mkdir(parents=True, exist_ok=True)
            for name, content in crd.crds():
                path = output_dir / name
                path.write_text(content, encoding="utf-8")
                typer.echo(str(path), err=True)
        except OSError as error:
            raise CommandError(f"{output_dir}: cannot be written: {error.strerror}") from error


@app.command()
def run() -> None:
    """Run the operator: in its pod, or beside a cluster with the current kubeconfig."""
    from llmfleet.server import process

    raise typer.Exit(process.run())
