"""`python -m llmfleet` is the command `llmfleet`."""

from llmfleet.cli.main import app

app()
