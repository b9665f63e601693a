"""vLLM's own parser as a program, run by the Python of a vLLM environment: JSON lists of arguments in, one line of JSON out for each.

Only what `vllm serve` does before it makes an engine: parse, then validate. {"refused": null} or {"refused": "why"}.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile

TEMPLATE = "/chat-template/"
"""Where the pod has the chat template of a ConfigMap."""


class _RefusedError(Exception):
    pass


def _refuse(_: argparse.ArgumentParser, message: str) -> None:
    raise _RefusedError(message)


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")  # vLLM prints where it likes
    os.dup2(2, 1)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
    sys.argv = ["vllm"]
    from vllm.entrypoints.cli.serve import ServeSubcommand  # type: ignore[import-not-found, unused-ignore]
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found, unused-ignore]

    # Its own would print the usage of 317 flags first.
    argparse.ArgumentParser.error = _refuse  # type: ignore[assignment, method-assign]
    FlexibleArgumentParser.error = _refuse
    parser = FlexibleArgumentParser(prog="vllm")
    command = ServeSubcommand()
    command.subparser_init(parser.add_subparsers(required=False, dest="subparser"))
    template = tempfile.NamedTemporaryFile("w", suffix=".jinja")  # noqa: SIM115 (it lives as long as the program)
    for line in sys.stdin:
        refused: str | None = None
        # The validation looks for the file, which lies in the pod only.
        arguments = [template.name if item.startswith(TEMPLATE) else item for item in json.loads(line)]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            try:
                sys.argv = ["vllm", "serve", *arguments]
                command.validate(parser.parse_args())
            except _RefusedError as error:
                refused = str(error)
            except SystemExit as error:
                refused = f"exit {error.code}"
            except Exception as error:  # whatever it is, the server would not have started
                refused = f"{type(error).__name__}: {error}"
        answers.write(json.dumps({"refused": refused}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
