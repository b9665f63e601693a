"""TLS of a server whose certificate and client CA change while it serves."""

import os
import ssl
from contextlib import ExitStack
from typing import Final

_MEMORY_FILES: Final = "/proc/self/fd"


class ServingContext:
    """The context to listen with, and the means to change what it serves.

    Each handshake is handed to the newest inner context (documented use of `sni_callback`), because a live SSLContext can take a new certificate but never
    lets a CA go. Until `use` is called every handshake fails. Clients may come without a certificate (CERT_OPTIONAL: probes have none); with one of another CA
    their handshake fails.
    """

    def __init__(self) -> None:
        self.listening = _bare()
        self.listening.sni_callback = self._hand_over
        self._current: ssl.SSLContext | None = None

    def use(self, certificate_pem: str, key_pem: str, client_ca_pem: str) -> None:
        """Serve new connections with this certificate (leaf first) and verify their clients by these CAs; what is not valid leaves everything as it was.

        Without a CA there are clients without a certificate only.
        """
        context = _bare()
        if client_ca_pem:
            context.load_verify_locations(cadata=client_ca_pem)
        with ExitStack() as stack:
            context.load_cert_chain(_in_memory(stack, certificate_pem), _in_memory(stack, key_pem))
        self._current = context

    def _hand_over(self, connection: ssl.SSLObject | ssl.SSLSocket, _server_name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _bare() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session is not verified again: it would outlive the CA that vouched for it.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _in_memory(stack: ExitStack, content: str) -> str:
    """Path of a file in memory, as load_cert_chain wants one: keys touch no disk, and a read-only root file system needs no writable directory."""
    descriptor = os.memfd_create("llmfleet-tls")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content.encode())
    return f"{_MEMORY_FILES}/{descriptor}"
