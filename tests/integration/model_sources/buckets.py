"""Real servers of object storage over directories, each a program of its own, filled through its own API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from e2e.cluster import binaries
from e2e.ports import free_port

ACCESS_KEY, SECRET_KEY = "AKIATEST", "test-secret"
REGION = "us-east-1"
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    environment: Mapping[str, str]
    """With which a client finds it and may read."""
    directory: Path
    """Where the objects lie, or its log."""


@contextmanager
def versitygw(directory: Path) -> Iterator[Server]:
    """An S3 server."""
    port = free_port()
    (directory / "s3").mkdir(parents=True)
    program = binaries.ensure(["versitygw"])["versitygw"]
    command = [
        str(program),
        "--port",
        f"127.0.0.1:{port}",
        "--access",
        ACCESS_KEY,
        "--secret",
        SECRET_KEY,
        "--quiet",
        "posix",
        "--sidecar",
        str(directory / "meta"),
        str(directory / "s3"),
    ]
    (directory / "meta").mkdir()
    with running(command, port, directory / "versitygw.log"):
        url = f"http://127.0.0.1:{port}"
        yield Server(
            url, {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION}, directory / "s3"
        )


@contextmanager
def fake_gcs_server(directory: Path) -> Iterator[Server]:
    """A Google Cloud Storage server."""
    port = free_port()
    program = binaries.ensure(["fake-gcs-server"])["fake-gcs-server"]
    url = f"http://127.0.0.1:{port}"
    directory.mkdir(parents=True)
    command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    with running(command, port, directory / "fake-gcs-server.log"):
        yield Server(url, {"STORAGE_EMULATOR_HOST": url}, directory)


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """The program while it listens."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


class S3Bucket:
    """Fills a bucket."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self.client = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=name)

    def upload(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.client.put_object(Bucket=self.name, Key=f"{prefix}/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())

    def upload_in_parts(self, path: Path, key: str) -> None:
        content = path.read_bytes()
        upload = self.client.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(content), 5 << 20), 1):
            part = self.client.upload_part(Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=content[start : start + (5 << 20)])
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self.client.complete_multipart_upload(Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


class GcsBucket:
    """Fills a bucket through the JSON API, as any client would."""

    def __init__(self, server: Server, name: str) -> None:
        self._url = server.url
        self.name = name
        self._post(f"{server.url}/storage/v1/b?project=test", json.dumps({"name": name}).encode(), "application/json")

    def upload(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = urllib.parse.quote(f"{prefix}/{path.relative_to(folder).as_posix()}", safe="")
                self._post(f"{self._url}/upload/storage/v1/b/{self.name}/o?uploadType=media&name={name}", path.read_bytes(), "application/octet-stream")

    def compose(self, parts: Sequence[str], target: str) -> None:
        body = json.dumps({"sourceObjects": [{"name": part} for part in parts], "destination": {"contentType": "application/octet-stream"}}).encode()
        self._post(f"{self._url}/storage/v1/b/{self.name}/o/{urllib.parse.quote(target, safe='')}/compose", body, "application/json")

    def _post(self, url: str, body: bytes, kind: str) -> None:
        request = urllib.request.Request(url, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            answer.read()
