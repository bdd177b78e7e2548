"""What a person is told of a file of handlers that is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from actors.handling.catalogue import Catalogue
from runtime.errors import InvalidRequest
from tocsin import loading, tasks
from tocsin.loading import load


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue()
    monkeypatch.setattr(tasks, "DECLARED", catalogue)
    monkeypatch.setattr(loading, "DECLARED", catalogue)


ONE = 'import tocsin\n@tocsin.task("a.one")\ndef one(ctx):\n    pass\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nraise RuntimeError('no database')\n", "RuntimeError: no database ({file}, line 2)"),
        ("import json\n\njson.loads('')\n", "({file}, line 3)"),
        ("import no_such_module_at_all\n", "({file}, line 1)"),
        (
            'import tocsin\n@tocsin.task("a", retries=3)\ndef a(ctx): pass\n',
            "; did you mean retry=tocsin.Retry(max_retries=3)? ({file}, line 2)",
        ),
        ('import tocsin\n@tocsin.task("a", time_out=3)\ndef a(ctx): pass\n', "; did you mean 'timeout'?"),
        (
            ONE + '\n@tocsin.task("a.one")\ndef two(ctx):\n    pass\n',
            "task type 'a.one' is declared twice: {file}:2 and {file}:6",
        ),
    ],
)
def test_the_error_names_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "jobs.py"
    file.write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        load(str(file))
    assert said.format(file=file) in str(caught.value)


def test_a_type_of_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("first.py", "second.py"):
        (tmp_path / name).write_text(ONE)
    load(str(tmp_path / "first.py"))
    with pytest.raises(InvalidRequest, match=r"declared twice: .*first\.py:2 and .*second\.py:2"):
        load(str(tmp_path / "second.py"))


def test_a_file_without_a_handler_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "none.py").write_text("def job(ctx):\n    pass\n")
    (tmp_path / "some.py").write_text(ONE)
    with caplog.at_level(logging.WARNING):
        load(str(tmp_path / "some.py"))
        load(str(tmp_path / "some.py"))
        assert caplog.messages == []
        load(str(tmp_path / "none.py"))
    assert caplog.messages == [f'{tmp_path}/none.py has no task handler: write @tocsin.task("name") before a function']
