"""Who may ask vLLM for what."""

from hashlib import sha256
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmfleet_runtime.guard import ADMINISTRATION, OPEN_PATHS, Access, Guard, access

GUARDED = (
    "/v1/chat/completions",
    "/v1/models",
    "/invocations",
    "/tokenize",
    "/detokenize",
    "/pooling",
    "/score",
    "/rerank",
    "/classify",
    "/inference/v1/generate",
)
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no finding."""
METHODS = st.sampled_from(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "get", "Head", "options", "QUERY", ""))


# --- Paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_probes_metrics_and_descriptions_are_read_without_a_key(path: str) -> None:
    assert access("GET", path, "") is Access.OPEN
    assert access("HEAD", path, "") is Access.OPEN
    assert access("POST", path, "") is Access.KEY


@pytest.mark.parametrize("path", GUARDED)
def test_what_infers_needs_a_key_with_any_method(path: str) -> None:
    assert {access(method, path, "") for method in ("GET", "HEAD", "POST", "PUT", "get")} == {Access.KEY}


def test_what_nobody_has_heard_of_needs_a_key() -> None:
    assert access("POST", "/v9/think", "") is Access.KEY
    assert access("GET", "/v9/think", "") is Access.KEY


@pytest.mark.parametrize("path", ADMINISTRATION)
def test_what_changes_the_engine_is_the_launchers_with_all_below_it(path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert access(method, path, "") is Access.ADMIN
        assert access(method, f"{path}/below", "") is Access.ADMIN
    assert access("POST", f"{path}-other", "") is Access.KEY


def test_a_browser_asks_first_without_a_key() -> None:
    assert access("OPTIONS", "/v1/chat/completions", "") is Access.OPEN
    assert access("options", "/v1/chat/completions", "") is Access.KEY


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/../invocations",
            "/health/../invocations",
            "//tokenize",
            "/./tokenize",
            "/health/",
            "//health",
            "/health/..",
            "/Health",
            "/health%2f",
            "/health;x",
        ),
        *("/metrics/x", "/metricsx", "/docs/", "/docs/x", "/static/../invocations", "/static/", "health", "", "/", "*", "http://host/health"),
    ],
)
def test_only_the_very_path_is_open(path: str) -> None:
    assert access("GET", path, "") is not Access.OPEN


def test_a_root_path_is_taken_off_as_the_router_does() -> None:
    assert access("GET", "/llm/health", "/llm") is Access.OPEN
    assert access("GET", "/health", "/llm") is Access.OPEN
    assert access("GET", "/llmhealth", "/llm") is Access.KEY
    assert access("GET", "/llm", "/llm") is Access.KEY
    assert access("POST", "/llm/v1/completions", "/llm") is Access.KEY
    for path in ("/llm/v1/load_lora_adapter", "/v1/load_lora_adapter", "/llm//v1/load_lora_adapter"):
        assert access("POST", path, "/llm") is Access.ADMIN
        assert access("POST", path, "/llm/") is Access.ADMIN


@UNTIMED
@given(METHODS, st.text(max_size=30) | st.sampled_from(sorted(OPEN_PATHS)), st.sampled_from(("", "/llm", "/v1")))
def test_a_path_is_open_only_when_the_list_has_it(method: str, path: str, root: str) -> None:
    if access(method, path, root) is Access.OPEN:
        assert method in ("GET", "HEAD")
        assert {path, path.removeprefix(root)} & OPEN_PATHS


@st.composite
def disguised(draw: st.DrawFn, paths: tuple[str, ...]) -> str:
    """A path as a lenient reader might still understand it."""
    segments = draw(st.sampled_from(paths)).strip("/").split("/")
    for _ in range(draw(st.integers(0, 2))):
        segments[(at := draw(st.integers(0, len(segments)))) : at] = draw(st.sampled_from((["."], ["x", ".."], ["v1", ".."], ["adapter;a=b", ".."])))
    path = "".join(draw(st.sampled_from(("/", "//", "/./", "\\"))) + segment for segment in segments) + draw(
        st.sampled_from(("", "/", "//", "/.", "/below", ";x=y"))
    )
    if draw(st.booleans()):
        path = path.swapcase()
    for _ in range(draw(st.integers(0, 2))):
        hidden = draw(st.sets(st.sampled_from(sorted(set(path)))))
        path = "".join(f"%{ord(letter):02x}" if letter in hidden else letter for letter in path)
    return path


@UNTIMED
@given(METHODS, disguised(ADMINISTRATION))
def test_no_spelling_gets_round_the_launchers_token(method: str, path: str) -> None:
    assert access(method, path, "") is Access.ADMIN


@UNTIMED
@given(METHODS, disguised(GUARDED))
def test_no_spelling_gets_round_the_key(method: str, path: str) -> None:
    assert access(method, path, "") is not Access.OPEN


@UNTIMED
@given(st.text(max_size=40))
def test_remembered_answers_are_the_same(path: str) -> None:
    long = path + "/" + "a" * 300
    assert access("GET", path, "") is access("GET", path, "")
    assert access("GET", long, "") is access("GET", long, "")


def test_a_path_that_is_all_escapes_costs_no_more_than_its_length() -> None:
    """Decoded until nothing changes this would be 30,000 readings of 60,000 letters."""
    assert access("POST", "/%" + "25" * 30_000, "") is Access.KEY


# --- Keys --------------------------------------------------------------------------------------------------------------


def guard(*keys: str) -> Guard:
    return Guard.of(keys, "t0ken", 1000)


def test_each_key_opens_and_nothing_else_does() -> None:
    both = guard("one", "two")
    assert both.has_key(b"Bearer one")
    assert both.has_key(b"bearer two")
    for shown in (None, b"", b"one", b"Bearer", b"Bearer ", b"Bearer  one", b"Bearer one two", b"Bearer ONE", b"Basic one", b"Bearer t0ken", b"Bearer \xff"):
        assert not both.has_key(shown)


def test_a_digest_is_no_key() -> None:
    assert not guard("one").has_key(b"Bearer " + sha256(b"one").hexdigest().encode())


def test_without_a_key_nothing_is_asked_for() -> None:
    assert guard().has_key(None)
    assert guard().has_key(b"Bearer whatever")


def test_the_launchers_token_is_asked_for_always() -> None:
    for any_guard in (guard(), guard("one")):
        assert any_guard.is_admin(b"t0ken")
        for shown in (None, b"", b"one", b"Bearer t0ken", b"t0ke"):
            assert not any_guard.is_admin(shown)


@UNTIMED
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=3), st.text(st.characters(codec="ascii")))
def test_rules_arrive_as_they_were_sent(keys: list[str], token: str) -> None:
    sent = Guard.of(keys, token, 5)
    assert Guard.from_document(sent.document()) == sent


def test_no_secret_travels() -> None:
    assert "one" not in str(guard("one").document())
    assert quote("t0ken") not in str(guard("one").document())
