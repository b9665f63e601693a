"""How a kubeconfig's user logs in: token, certificate in the file, or a program that gives either."""

import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web

from llmfleet.server import connection
from llmfleet.tls.certificates import current
from llmfleet.tls.serving_context import ServingContext
from tests.unit.metrics_api.authorities import Authority
from tests.unit.tls.test_certificates import NAMES, NOW


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MADE = current(None, NAMES, NOW)


def login(monkeypatch: pytest.MonkeyPatch, folder: Path, user: dict[str, Any]) -> kopf.ConnectionInfo:
    path = folder / "kubeconfig"
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": encoded(MADE.bundle)}
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me", "namespace": "chat"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "other", "user": {"token": "wrong"}}, {"name": "me", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return connection.login(kopf.OperatorSettings())


def plugin(program: str, **more: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-c", program], **more}}


def test_a_token_of_a_program_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = (
        "import json, os; asked = json.loads(os.environ['KUBERNETES_EXEC_INFO']); print(json.dumps({'status': {'token': os.environ['A'] + asked['kind']}}))"
    )
    info = login(monkeypatch, tmp_path, plugin(program, env=[{"name": "A", "value": "of-"}]))
    assert (info.token, info.default_namespace) == ("of-ExecCredential", "chat")


def test_a_program_that_wants_to_know_the_cluster_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = (
        "import json, os; asked = json.loads(os.environ['KUBERNETES_EXEC_INFO']); print(json.dumps({'status': {'token': asked['spec']['cluster']['server']}}))"
    )
    assert login(monkeypatch, tmp_path, plugin(program, provideClusterInfo=True)).token == "https://127.0.0.1:1"


def test_a_token_in_the_file_needs_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert login(monkeypatch, tmp_path, {"token": "mine", **plugin("raise SystemExit(1)")}).token == "mine"


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('hunter2')", 'print(\'{"kind": "hunter2"}\')'])
def test_a_program_that_gives_nothing_is_named_and_its_words_are_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    with pytest.raises(kopf.LoginError, match="which the kubeconfig names, gave no credentials") as error:
        login(monkeypatch, tmp_path, plugin(program))
    assert "hunter2" not in str(error.value)


def test_a_program_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(kopf.LoginError, match="/nowhere/login"):
        login(monkeypatch, tmp_path, {"exec": {"command": "/nowhere/login"}})


@pytest.mark.parametrize("given", ["in the file", "by a program"])
async def test_a_client_certificate_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str) -> None:
    authority = Authority("users")
    authority.equip(ssl.create_default_context(), "me", tmp_path)  # writes client.pem
    certificate, begin, key = (tmp_path / "client.pem").read_text().partition("-----BEGIN PRIVATE KEY-----")
    user: dict[str, Any] = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(begin + key)}
    if given == "by a program":
        answer = {"status": {"clientCertificateData": certificate, "clientKeyData": begin + key}}
        user = plugin(f"print({json.dumps(answer)!r})")
    info = login(monkeypatch, tmp_path, user)

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.json_response(request.transport.get_extra_info("peercert")["subject"])

    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    serving = ServingContext()
    serving.use(MADE.certificate, MADE.key, authority.pem)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving.listening).start()
    try:
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        async with connection.session(info) as session, session.get(url, server_hostname=NAMES[0]) as response:
            assert await response.json() == [[["commonName", "me"]]]
    finally:
        await runner.cleanup()
