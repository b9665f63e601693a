"""An inspection has so much time, counted from its own beginning."""

import signal
import socket
from pathlib import Path

from tests.integration.model_sources.commands import Commands


def test_a_source_that_never_answers_is_given_up_with_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        commands = Commands(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        with commands.running("inspect", "hf://org/slow") as inspection:
            silent.settimeout(60)
            connection, _ = silent.accept()  # it waits for an answer
            with connection:
                inspection.send_signal(signal.SIGALRM)  # as when its time is over
                ended = commands.outcome(inspection)
    assert (ended.code, ended.reason) == (75, "SourceUnreachable")
    assert "600 s" in ended.told["message"]
