"""Certificates of a cluster, made by openssl: one authority for the cluster, one for requests that the API server forwards."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DAYS = "365"  # a development cluster that is kept longer is made anew


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key pair of the cluster: its file name, its owner, and the names under which it serves."""

    name: str
    subject: str
    alternative_names: tuple[str, ...] = ()
    authority: str = "ca"


@dataclass(frozen=True, slots=True)
class Pki:
    """The folder of a cluster's keys and certificates."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Return the path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the path of a private key."""
        return self.folder / f"{name}.key"

    def ensure(self, certificates: Sequence[Certificate]) -> None:
        """Make the authorities, the service account key and the certificates that are missing.

        A file appears under its name when it is whole, the certificate after its key: an interrupted run leaves nothing half-made in use.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for authority in sorted({"ca", "front-ca"} | {certificate.authority for certificate in certificates}):
            if not self.certificate(authority).exists():
                self._make_authority(authority)
        if not (self.folder / "service-accounts.pub").exists():
            self._make_service_account_key()
        for certificate in certificates:
            if not self.certificate(certificate.name).exists():
                self._make(certificate)

    def _make_authority(self, name: str) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            _openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS, "-subj", f"/CN=llmfleet-{name}",
                "-keyout", f"{made}/key", "-out", f"{made}/crt",
            )  # fmt: skip
            self._publish(Path(made), name)

    def _make_service_account_key(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{made}/key")
            _openssl("pkey", "-in", f"{made}/key", "-pubout", "-out", f"{made}/pub")
            (Path(made) / "key").rename(self.folder / "service-accounts.key")
            (Path(made) / "pub").rename(self.folder / "service-accounts.pub")

    def _make(self, certificate: Certificate) -> None:
        names = ",".join(certificate.alternative_names) or f"DNS:{certificate.name}"
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            extensions = Path(made) / "extensions"
            extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
            _openssl(
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", certificate.subject,
                "-keyout", f"{made}/key", "-out", f"{made}/csr",
            )  # fmt: skip
            _openssl(
                "x509", "-req", "-in", f"{made}/csr", "-CA", str(self.certificate(certificate.authority)), "-CAkey", str(self.key(certificate.authority)),
                "-days", _DAYS, "-extfile", str(extensions), "-out", f"{made}/crt",
            )  # fmt: skip
            self._publish(Path(made), certificate.name)

    def _publish(self, made: Path, name: str) -> None:
        (made / "key").rename(self.key(name))
        (made / "crt").rename(self.certificate(name))


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
