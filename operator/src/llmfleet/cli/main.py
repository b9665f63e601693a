"""The verbs of the command `llmfleet`."""

from pathlib import Path
from typing import Annotated

import typer

from llmfleet.api import crd
from llmfleet.cli import reference

app = typer.Typer(name="llmfleet", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Fleets of vLLM servers on Kubernetes.")


@app.command()
def crds(
    output_dir: Annotated[Path | None, typer.Option(help="Write the files there instead of printing them.")] = None,
    show_reference: Annotated[bool, typer.Option("--reference", help="Print the table of fields (docs/reference.md) instead.")] = False,
) -> None:
    """Print the CustomResourceDefinitions: `llmfleet crds | kubectl apply --server-side -f -`."""
    if show_reference:
        typer.echo(reference.markdown(), nl=False)
    elif output_dir is None:
        typer.echo("---\n".join(content for _, content in crd.crds()), nl=False)
    else:
        output_dir.mkdir(parents=True, exist_ok=True)
        for name, content in crd.crds():
            path = output_dir / name
            path.write_text(content, encoding="utf-8")
            typer.echo(str(path), err=True)


@app.command()
def run() -> None:
    """Run the operator: in its pod, or beside a cluster with the current kubeconfig."""
    # Imported here: the other verbs need no cluster libraries, and start faster without them.
    from llmfleet.server import process

    raise typer.Exit(process.run())
