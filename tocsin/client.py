"""A client of a node's REST interface, for programs and for the command line. Synchronous."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import httpx

from runtime.errors import InternalError, InvalidRequest, TocsinError, Unauthenticated

from .config import DEFAULT_DATA
from .error_table import error_of
from .operations import BY_NAME

TIMEOUT_SECONDS: Final = 40.0
"""How long an answer may take: longer than a node waits for its own commits, so that its error is the one that is seen."""

NODE_FILE: Final = "node.json"
TOKEN_FILE: Final = "token"  # noqa: S105
"""Files in a node's data directory: where it listens, and the administrator's token."""

_UNSAFE: Final = ("/", "\\", "?", "#", "%")
"""Characters of a task's name that servers take apart in a path, however they are escaped."""


class NodeUnreachable(TocsinError):
    """No node answers: none runs there, or the address is wrong."""


class Client:
    """Calls the operations of one node by name.

    url, token: where and with what; without them TOCSIN_URL and TOCSIN_TOKEN, and without these what a node running over the
    data directory (`data`, TOCSIN_DATA, or ./.tocsin) has written there. Raises NodeUnreachable or Unauthenticated if that is
    not enough.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        data: str | Path | None = None,
        channel: str = "rest",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        directory = Path(data or os.environ.get("TOCSIN_DATA") or DEFAULT_DATA)
        base = url or os.environ.get("TOCSIN_URL") or _url_of(directory)
        secret = token or os.environ.get("TOCSIN_TOKEN") or _token_of(directory)
        if not secret.isascii() or not secret.isprintable():
            raise Unauthenticated("the token holds characters that no token has")
        self.url: str = base
        try:
            self._http = httpx.Client(
                base_url=f"{base.rstrip('/')}/api",
                headers={"Authorization": f"Bearer {secret}", "Tocsin-Channel": channel},
                timeout=TIMEOUT_SECONDS,
                transport=transport,
                trust_env=False,
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidRequest(f"TOCSIN_URL: {base!r}: {error}") from None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection."""
        self._http.close()

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out an operation of the table; arguments that are None are left out. Answers its JSON.

        Raises the error class that the node answered with, NodeUnreachable if there was no answer, InvalidRequest for arguments
        that no request can hold.
        """
        try:
            return self._call(operation, arguments)
        except UnicodeEncodeError as error:
            part = error.object[error.start : error.end]
            raise InvalidRequest(f"{operation}: {part!r} cannot be written in UTF-8") from None
        except RecursionError:
            raise InvalidRequest(f"{operation}: nested too deeply") from None

    def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        entry = BY_NAME[operation]
        given = {name: value for name, value in arguments.items() if value is not None}
        path = entry.path
        query: dict[str, str] = {}
        body: object = None
        for argument in entry.arguments:
            if argument.name not in given:
                continue
            value = given.pop(argument.name)
            match argument.where:
                case "path":
                    path = path.replace(f"{{{argument.name}}}", self._path_part(argument.name, str(value)))
                case "query":
                    query[argument.name] = str(value).lower() if isinstance(value, bool) else str(value)
                case "body":
                    body = value
        assert not given, f"{operation} has no argument {', '.join(given)}"
        return self._send(entry.method, path, query, body)

    def _path_part(self, name: str, value: str) -> str:
        if name == "task" and (value in ("", ".", "..") or any(character in value for character in _UNSAFE)):
            found = self.call("find_task", reference=value)
            value = found["itemId"]
        return quote(value, safe="")

    def _send(self, method: str, path: str, query: dict[str, str], body: object) -> Any:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            response = self._http.request(method, path, params=query, content=content, headers=headers)
        except httpx.TimeoutException:
            raise NodeUnreachable(f"{self.url} did not answer within {TIMEOUT_SECONDS:g} s") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise NodeUnreachable(f"no node answers at {self.url}: {str(error) or type(error).__name__}") from None
        return _answer(response)

    def tasks(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every task that fits the filters of `list_tasks`, page by page."""
        offset = 0
        while True:
            page = self.call("list_tasks", offset=offset, limit=200, **filters)
            yield from page["list"]
            offset += len(page["list"])
            if not page["list"] or offset >= page["totalSize"]:
                return


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        body = response.json()
        title, message = body["error"], str(body["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        title = None
        message = f"{response.status_code} {response.reason_phrase}, and no error of a node: is this its address?"
    raise error_of(title, response.status_code, message)


def _url_of(directory: Path) -> str:
    try:
        url = json.loads((directory / NODE_FILE).read_text(encoding="utf-8"))["url"]
    except OSError:
        raise NodeUnreachable(
            f"no node runs over {str(directory)!r}: start one with 'tocsin up', or set TOCSIN_URL or TOCSIN_DATA"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InternalError(f"{directory / NODE_FILE} is damaged: start the node again") from None
    return str(url)


def _token_of(directory: Path) -> str:
    try:
        return (directory / TOKEN_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unauthenticated(f"no token: set TOCSIN_TOKEN, or TOCSIN_DATA to the node's directory ({error})") from None
