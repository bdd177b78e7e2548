"""What a client makes of an answer, without a node; and what every answer is encoded with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.errors import InternalError, TocsinError
from tests.tocsin.clients.kit import Said
from tocsin.api.answering import encoded, error_body
from tocsin.client import Client
from tocsin.operations.error_table import ERRORS, row_of, title_of_status


@pytest.mark.parametrize(("title", "status"), [(row.title, row.status) for row in ERRORS])
def test_a_client_raises_what_the_node_named(title: str, status: int) -> None:
    wire = Said(status, {"error": title, "code": str(status), "message": "why"})
    with (
        Client("http://node", "t", wire=wire) as client,
        pytest.raises(TocsinError, match="why") as caught,
    ):
        client.call("version")
    row = row_of(caught.value)
    assert (row.title, row.status) == (title, status)


@pytest.mark.parametrize("body", [{"error": "Internal error", "code": "500", "message": "why"}, {}, {"error": 5}])
def test_an_unknown_500_is_no_damaged_store(body: dict[str, Any]) -> None:
    with Client("http://node", "t", wire=Said(500, body)) as client, pytest.raises(InternalError) as caught:
        client.call("version")
    assert row_of(caught.value).exit_code == 1
    assert title_of_status(500) == "Internal error"


def test_half_a_surrogate_pair_does_not_break_an_answer() -> None:
    assert json.loads(encoded({"text": "a\udc80é"})) == {"text": "a\udc80é"}
    assert "é".encode() in encoded("é")
    assert json.loads(error_body("t", 400, "\ud800"))["message"] == "\ud800"
