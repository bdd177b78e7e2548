"""A small synchronous client of the task interface under ``/cxs/tasks``, as the text of UNOMI-878 has it.

The text names six requests: list, get, cancel, retry, configure and resume. Each is one method of `TaskClient`. What a
response holds beyond the text is kept in ``raw`` and ignored otherwise; what the text promises and a response lacks
raises `ProtocolError`.
"""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

DEFAULT_LIMIT = 50
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")


class Status(enum.StrEnum):
    """The states of a task."""

    SCHEDULED = "SCHEDULED"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"


class ProtocolError(Exception):
    """A response does not have the form that the text gives it."""


class TaskApiError(Exception):
    """The server refused a request; has the status and the three fields of the error body."""

    def __init__(self, status: int, error: str, code: str, message: str) -> None:
        super().__init__(f"{status} {error}: {message}")
        self.status = status
        self.error = error
        self.code = code
        self.message = message


class InvalidParameters(TaskApiError):
    """400: a parameter is not valid."""


class InsufficientPermissions(TaskApiError):
    """403: the token may not do this."""


class TaskNotFound(TaskApiError):
    """404: there is no task with this id."""


class ServerError(TaskApiError):
    """500: it is the server's fault."""


_ERRORS: dict[int, type[TaskApiError]] = {
    400: InvalidParameters,
    403: InsufficientPermissions,
    404: TaskNotFound,
    500: ServerError,
}


@dataclass(frozen=True)
class Task:
    """A task as a response shows it. What the response leaves out, or has as null, is None (or empty, for a map)."""

    item_id: str
    task_type: str
    status: Status
    persistent: bool
    failure_count: int | None = None
    next_scheduled_execution: datetime | None = None
    last_execution_date: datetime | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    current_step: str | None = None
    status_details: Mapping[str, Any] = field(default_factory=dict)
    max_retries: int | None = None
    retry_delay: int | None = None
    checkpoint_data: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, document: object) -> Task:
        """Read a task; its four fields that every example has must be there."""
        if not isinstance(document, dict):
            raise ProtocolError(f"a task is an object, not {document!r}")
        try:
            status = Status(_required(document, "status", str))
        except ValueError as error:
            raise ProtocolError(f"unknown status: {error}") from None
        return cls(
            item_id=_uuid(_required(document, "itemId", str)),
            task_type=_required(document, "taskType", str),
            status=status,
            persistent=_required(document, "persistent", bool),
            failure_count=_optional(document, "failureCount", int),
            next_scheduled_execution=_date(document, "nextScheduledExecution"),
            last_execution_date=_date(document, "lastExecutionDate"),
            parameters=_optional(document, "parameters", dict) or {},
            current_step=_optional(document, "currentStep", str),
            status_details=_optional(document, "statusDetails", dict) or {},
            max_retries=_optional(document, "maxRetries", int),
            retry_delay=_optional(document, "retryDelay", int),
            checkpoint_data=_optional(document, "checkpointData", dict),
            raw=document,
        )


@dataclass(frozen=True)
class TaskPage:
    """A page of a listing: ``total_size`` counts all tasks that match, ``page_size`` is the limit asked for."""

    tasks: tuple[Task, ...]
    offset: int
    page_size: int
    total_size: int

    @classmethod
    def from_json(cls, document: object) -> TaskPage:
        """Read a page; all four of its fields must be there."""
        if not isinstance(document, dict):
            raise ProtocolError(f"a listing is an object, not {document!r}")
        return cls(
            tasks=tuple(Task.from_json(task) for task in _required(document, "list", list)),
            offset=_required(document, "offset", int),
            page_size=_required(document, "pageSize", int),
            total_size=_required(document, "totalSize", int),
        )


class TaskClient:
    """Talks to one node. Use it as a context manager, or close it."""

    def __init__(self, base_url: str, token: str, *, timeout: float = 10.0) -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> TaskClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,  # noqa: A002
        offset: int | None = None,
        limit: int | None = None,
        sort_by: str | None = None,
    ) -> TaskPage:
        """Get one page of the tasks that match. What is None is not sent, and the server's default holds."""
        given = {"status": status, "type": type, "offset": offset, "limit": limit, "sortBy": sort_by}
        params = {name: str(value) for name, value in given.items() if value is not None}
        return TaskPage.from_json(self._json("GET", "/cxs/tasks", params, expected=200))

    def iterate(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,  # noqa: A002
        sort_by: str | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Iterator[Task]:
        """Go through all tasks that match, page by page."""
        offset = 0
        while True:
            page = self.list(status=status, type=type, sort_by=sort_by, offset=offset, limit=limit)
            yield from page.tasks
            offset += len(page.tasks)
            if not page.tasks or offset >= page.total_size:
                return

    def get(self, task_id: str) -> Task:
        """Get one task with its step, its status details and its checkpoint."""
        return Task.from_json(self._json("GET", _path(task_id), expected=200))

    def cancel(self, task_id: str) -> None:
        """Cancel a task; its record stays."""
        response = self._send("DELETE", _path(task_id), expected=204)
        if response.content:
            raise ProtocolError(f"204 with a body: {response.content[:200]!r}")

    def retry(self, task_id: str, *, reset_failure_count: bool | None = None) -> Task:
        """Run a failed task again; with ``reset_failure_count`` its failures are counted from 0."""
        params = {} if reset_failure_count is None else {"resetFailureCount": str(reset_failure_count).lower()}
        return Task.from_json(self._json("POST", _path(task_id, "retry"), params, expected=200))

    def configure(self, task_id: str, *, max_retries: int | None = None, retry_delay: int | None = None) -> Task:
        """Change the number of retries, the delay between them in milliseconds, or both; None changes nothing."""
        given = {"maxRetries": max_retries, "retryDelay": retry_delay}
        params = {name: str(value) for name, value in given.items() if value is not None}
        return Task.from_json(self._json("PUT", _path(task_id, "config"), params, expected=200))

    def resume(self, task_id: str) -> Task:
        """Go on with a crashed task from its checkpoint."""
        return Task.from_json(self._json("POST", _path(task_id, "resume"), expected=200))

    def raw(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
    ) -> httpx.Response:
        """Send any request with the client's token and get the response as it is, whatever its status."""
        return self._http.request(method, path, params=params, headers=headers, json=json)

    def _json(self, method: str, path: str, params: Mapping[str, str] | None = None, *, expected: int) -> object:
        response = self._send(method, path, params, expected=expected)
        if response.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            raise ProtocolError(f"not JSON: {response.headers.get('Content-Type')!r}")
        return response.json()

    def _send(
        self, method: str, path: str, params: Mapping[str, str] | None = None, *, expected: int
    ) -> httpx.Response:
        response = self._http.request(method, path, params=params)
        if response.status_code == expected:
            return response
        if response.status_code < 400:
            raise ProtocolError(f"{method} {path}: status {response.status_code}, not {expected}")
        raise error_of(response)


def error_of(response: httpx.Response) -> TaskApiError:
    """Read an error body: ``error``, ``code`` and ``message``, all of them text, ``code`` being the status."""
    try:
        document = response.json()
    except ValueError:
        raise ProtocolError(f"status {response.status_code} without a JSON body: {response.text[:200]!r}") from None
    if not isinstance(document, dict):
        raise ProtocolError(f"an error is an object, not {document!r}")
    error, code, message = (_required(document, name, str) for name in ("error", "code", "message"))
    if code != str(response.status_code):
        raise ProtocolError(f"status {response.status_code} with the code {code!r}")
    return _ERRORS.get(response.status_code, TaskApiError)(response.status_code, error, code, message)


def _path(task_id: str, action: str | None = None) -> str:
    path = f"/cxs/tasks/{quote(task_id, safe='')}"
    return path if action is None else f"{path}/{action}"


def _required(document: Mapping[str, Any], name: str, kind: type) -> Any:
    value = _optional(document, name, kind)
    if value is None:
        raise ProtocolError(f"{name} is missing")
    return value


def _optional(document: Mapping[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    # For Python a truth value is a number; for JSON it is not.
    if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise ProtocolError(f"{name}: {value!r} is not a {kind.__name__}")
    return value


def _date(document: Mapping[str, Any], name: str) -> datetime | None:
    value = _optional(document, name, str)
    if value is None:
        return None
    if not _DATE.fullmatch(value):
        raise ProtocolError(f"{name}: {value!r} is not a time in UTC such as 2024-03-20T15:00:00Z")
    return datetime.fromisoformat(value).astimezone(UTC)


def _uuid(value: str) -> str:
    try:
        if str(uuid.UUID(value)) != value:
            raise ValueError
    except ValueError:
        raise ProtocolError(f"itemId: {value!r} is not a UUID") from None
    return value
