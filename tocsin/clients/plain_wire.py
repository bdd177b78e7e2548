"""Requests sent with what Python itself has: a command that asks one thing does not wait until a large library is loaded."""

from __future__ import annotations

import http.client
from collections.abc import Generator
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit

from runtime.errors import InvalidRequest

from .address import Address
from .asking_core import Heard
from .following_core import Event, Following
from .requests_core import Reply, Request
from .waiting import TIMEOUT_SECONDS, base_of, headers_of, place_in_trace, seconds_of, too_slow, unanswered, wrong_url

_FAILED: Final = (OSError, http.client.HTTPException)


class PlainWire:
    """Sends each request over a connection of its own, so it may be shared by threads and holds nothing.

    address: the node. channel: what the node notes as the way that a run came by. Raises InvalidRequest for a URL that is none.
    """

    def __init__(self, address: Address, channel: str) -> None:
        self._address = address
        self._base = _base_of(address)
        self._headers = headers_of(address, channel)

    def send(self, request: Request) -> Heard:
        """Send a request and read its answer whole."""
        answer = self._answer(request)
        return self._read(*answer) if isinstance(answer, tuple) else answer

    def follow(self, following: Following) -> Generator[Event, None, float]:
        """The events of one stream, as they come."""
        answer = self._answer(following.request())
        if not isinstance(answer, tuple):
            return following.refused(answer)
        connection, response = answer
        if not 200 <= response.status < 300:
            return following.refused(self._read(connection, response))
        try:
            with connection:
                for line in response:
                    if (event := following.line(line.decode().rstrip("\r\n"))) is not None:
                        yield event
        except _FAILED as error:
            return following.refused(self._silence(error))
        return following.ended()

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, request: Request) -> tuple[_Connection, http.client.HTTPResponse] | Heard:
        """The beginning of an answer, or why there is none."""
        connection = self._connection()
        try:
            connection.connect()
        except OSError as error:
            return unanswered(self._address.url, error, sent=False)
        try:
            # A node may refuse a request before it has read all of it: then the answer is there to be read all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(request.method, self._target(request), request.body, self._with(request))
            return connection, connection.getresponse()
        except _FAILED as error:
            connection.close()
            return self._silence(error)
        except ValueError as error:
            connection.close()
            raise InvalidRequest(f"no request can hold this: {error}") from None

    def _connection(self) -> _Connection:
        host, port = self._base.hostname or "", self._base.port
        if self._base.scheme == "http":
            return _Plain(host, port, timeout=TIMEOUT_SECONDS)
        if self._address.trusted is None:
            return _Secure(host, port, timeout=TIMEOUT_SECONDS)
        from runtime.tls import trusting

        context = trusting(self._address.trusted, names=self._address.names)
        return _Secure(host, port, timeout=TIMEOUT_SECONDS, context=context)

    def _target(self, request: Request) -> str:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return f"{self._base.path}{request.path}{query}"

    def _with(self, request: Request) -> dict[str, str]:
        content = {} if request.body is None else {"Content-Type": "application/json"}
        return self._headers | content | place_in_trace() | dict(request.headers)

    def _read(self, connection: _Connection, response: http.client.HTTPResponse) -> Heard:
        try:
            with connection:
                content = response.read()
        except _FAILED as error:
            return self._silence(error)
        return Reply(response.status, response.reason, content, seconds_of(response.headers.get("Retry-After", "")))

    def _silence(self, error: Exception) -> Heard:
        url = self._address.url
        return too_slow(url) if isinstance(error, TimeoutError) else unanswered(url, error, sent=True)


class _Closing:
    """Closes a connection at the end of a block."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        self.close()  # type: ignore[attr-defined]


class _Plain(_Closing, http.client.HTTPConnection):
    pass


class _Secure(_Closing, http.client.HTTPSConnection):
    pass


_Connection = _Plain | _Secure


def _base_of(address: Address) -> SplitResult:
    try:
        base = urlsplit(base_of(address))
        host, _port = base.hostname, base.port
    except ValueError as error:
        raise wrong_url(address.url, error) from None
    if base.scheme not in ("http", "https"):
        raise wrong_url(address.url, ValueError("it begins with neither http:// nor https://"))
    if not host:
        raise wrong_url(address.url, ValueError("it names no host"))
    return base
