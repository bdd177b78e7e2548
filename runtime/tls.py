"""Mutual TLS for links, and the door to ssl contexts.

Both ends present a certificate of the cluster's own authority. Names in certificates are not looked at: whoever holds one
is of the cluster, and which node it is, it says in the handshake above.
"""

from __future__ import annotations

import ssl

import trio

from .errors import InvalidRequest
from .fabric_messages import Tls
from .websocket import LinkBroken


class TlsContexts:
    """The contexts of both roles. Raises InvalidRequest if the files cannot be used."""

    def __init__(self, files: Tls) -> None:
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT, files)
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, files)


def _context(protocol: int, files: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(f"the certificates for links cannot be used ({files}): {error}") from None
    return context


def trusting(certificates: str, *, names: bool) -> ssl.SSLContext:
    """A context for clients that trust whom these certificates are of, or whom they have signed, and nobody else.

    names: whether a server must have the name under which it is asked. Raises InvalidRequest if the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = names
    # A server's own certificate is enough, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=certificates)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(f"the certificates in {certificates!r} cannot be used: {error}") from None
    return context


async def secure(stream: trio.abc.Stream, context: ssl.SSLContext, *, server: bool, seconds: float) -> trio.abc.Stream:
    """TLS over a stream, its handshake done within so many seconds. Raises LinkBroken, which says what was wrong with whose
    certificate; the stream is closed then."""
    secured: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(
        stream, context, server_side=server, https_compatible=True
    )
    try:
        with trio.fail_after(seconds):
            await secured.do_handshake()
    except trio.TooSlowError:
        await trio.aclose_forcefully(stream)
        raise LinkBroken(f"no TLS handshake within {seconds:g} s") from None
    except (trio.BrokenResourceError, ssl.SSLError, OSError) as error:
        await trio.aclose_forcefully(stream)
        raise LinkBroken(f"TLS failed: {error.__cause__ or error}") from None
    return secured
