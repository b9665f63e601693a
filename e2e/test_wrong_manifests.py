"""`kubectl apply` of a manifest that cannot work: refused at once, with the field, what is wrong with it, and what to do."""

from pathlib import Path

import pytest

from e2e.fleet import REPOSITORY, Fleet

FILES = sorted((REPOSITORY / "e2e" / "wrong").glob("*.yaml"))
SAYS = "# says: "
"""How each file begins: words of the refusal, one line each."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_wrong_manifest_is_refused_with_the_remedy(path: Path, fleet: Fleet, namespace: str) -> None:
    words = [line.removeprefix(SAYS) for line in path.read_text().splitlines() if line.startswith(SAYS)]
    done = fleet.kubectl("-n", namespace, "apply", "-f", str(path))
    assert words, "the file does not say what is expected"
    assert done.returncode != 0, done.stdout
    assert [word for word in words if word not in done.stderr] == [], done.stderr
