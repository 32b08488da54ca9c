"""Certificates for the tests of TLS, made when they are first asked for: nothing in the tree expires, nothing is fetched.

What lives here: one authority, contexts of a server and of a client that trust each other (shared: nobody may change one).
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import trustme

NAME = "server.test"


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def _leaf(name: str) -> trustme.LeafCert:
    return authority().issue_cert(name)


@cache
def server_context(name: str = NAME, *, ask_client: bool = False, only: Any = None) -> ssl.SSLContext:
    """A server that shows a certificate for *name*; *ask_client*: and wants the client's; *only*: this TLS version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _leaf(name).configure_cert(context)
    if ask_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(context)
    if only is not None:
        context.minimum_version = context.maximum_version = only
    return context


@cache
def client_context(*, trusting: bool = True, with_certificate: bool = False, only: Any = None) -> ssl.SSLContext:
    """A client that verifies the server; not *trusting*: it knows no authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusting:
        authority().configure_trust(context)
    if with_certificate:
        _leaf("client@test").configure_cert(context)
    if only is not None:
        context.minimum_version = context.maximum_version = only
    return context
