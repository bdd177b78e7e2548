"""The examples of the contract, as they stand there, and how a response is compared with them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import httpx

from tests.contract.client import TaskApiError, error_of

TASK_IN_LIST: dict[str, Any] = {
    "itemId": "123e4567-e89b-12d3-a456-426614174000",
    "taskType": "dataSync",
    "status": "RUNNING",
    "nextScheduledExecution": "2024-03-20T15:00:00Z",
    "lastExecutionDate": "2024-03-20T14:00:00Z",
    "failureCount": 0,
    "persistent": True,
    "parameters": {"targetSystem": "CRM", "batchSize": 1000},
}
LIST: dict[str, Any] = {"list": [TASK_IN_LIST], "offset": 0, "pageSize": 50, "totalSize": 1}
TASK: dict[str, Any] = TASK_IN_LIST | {
    "currentStep": "Processing records",
    "statusDetails": {"processedCount": 500, "totalCount": 1000},
}
RETRY: dict[str, Any] = {
    "itemId": "123e4567-e89b-12d3-a456-426614174000",
    "taskType": "dataSync",
    "status": "SCHEDULED",
    "nextScheduledExecution": "2024-03-20T15:05:00Z",
    "failureCount": 0,
    "persistent": True,
}
CONFIG: dict[str, Any] = {
    "itemId": "123e4567-e89b-12d3-a456-426614174000",
    "taskType": "dataSync",
    "status": "SCHEDULED",
    "maxRetries": 5,
    "retryDelay": 60000,
    "persistent": True,
}
RESUME: dict[str, Any] = {
    "itemId": "123e4567-e89b-12d3-a456-426614174000",
    "taskType": "dataSync",
    "status": "SCHEDULED",
    "nextScheduledExecution": "2024-03-20T15:00:00Z",
    "checkpointData": {"lastProcessedId": "12345", "progress": 50},
    "persistent": True,
}
ERROR: dict[str, Any] = {"error": "Task not found", "code": "404", "message": "No task exists with ID: 123e4567"}

UNKNOWN = TASK["itemId"]

ACTIONS = {
    "list": ("GET", ""),
    "get": ("GET", "/{task}"),
    "cancel": ("DELETE", "/{task}"),
    "retry": ("POST", "/{task}/retry"),
    "config": ("PUT", "/{task}/config?maxRetries=5&retryDelay=60000"),
    "resume": ("POST", "/{task}/resume"),
}
"""The six requests of the contract: method, and path below `/cxs/tasks`."""

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
"""The form of the times in the examples."""


def request(action: str, task: str) -> tuple[str, str]:
    """Method and path of a request of the contract for a task."""
    method, path = ACTIONS[action]
    return method, "/cxs/tasks" + path.format(task=task)


def assert_like(example: object, actual: object, where: str = "") -> None:
    """All fields of an example are there, with the JSON types that they have in it."""
    assert type(actual) is type(example), f"{where}: {actual!r} where the contract has {example!r}"
    if isinstance(example, dict) and isinstance(actual, dict):
        for name, value in example.items():
            assert name in actual, f"{where}.{name} is missing"
            assert_like(value, actual[name], f"{where}.{name}")
    elif isinstance(example, list) and isinstance(actual, list):
        assert actual, f"{where} is empty"
        for number, one in enumerate(actual):
            assert_like(example[0], one, f"{where}[{number}]")
    elif isinstance(example, str) and isinstance(actual, str) and TIME.fullmatch(example):
        assert actual.endswith("Z") and datetime.fromisoformat(actual), f"{where}: {actual!r} is no time in UTC"


def assert_error(response: httpx.Response, status: int) -> TaskApiError:
    """A response is an error of the contract's form, with exactly its three fields."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].split(";")[0] == "application/json"
    assert set(response.json()) == {"error", "code", "message"}
    error = error_of(response)
    assert error.code == str(status)
    assert error.error and error.message
    return error
