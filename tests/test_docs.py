"""The documents say what is true: their programs and commands run, their tables and pictures are those of the program."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.model.lifecycle import EXECUTION_TRANSITIONS, TASK_TRANSITIONS
from actors.model.occurrence import Outcome, Reason
from tests import docs_console, docs_reference
from tests.servers import server_directory

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
HANG_SECONDS = 120


def named(page: Path) -> str:
    return page.name


def program_of(text: str) -> str:
    """The program that the blocks of a page are, one after another, each line in the line that it has in the page."""
    lines = [""] * text.count("\n")
    for found in PROGRAM.finditer(docs_console.without_files(text)):
        first = text.count("\n", 0, found.start(1))
        block = found[1].split("\n")[:-1]
        lines[first : first + len(block)] = block
    # Where a program needs `from __future__` first, blank lines do not matter.
    return "\n".join(lines)


@pytest.mark.parametrize("page", [page for page in PAGES if PROGRAM.search(page.read_text("utf-8"))], ids=named)
def test_programs_run(page: Path, tmp_path: Path) -> None:
    program = tmp_path / page.with_suffix(".py").name
    program.write_text(program_of(page.read_text("utf-8")), "utf-8")
    done = subprocess.run(
        [sys.executable, "-P", program], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_has_a_program() -> None:
    assert program_of((ROOT / "README.md").read_text("utf-8")).strip()


GUIDES = [page for page in PAGES if docs_console.commands(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_commands_do_what_is_shown(page: Path) -> None:
    text = page.read_text("utf-8")
    files = docs_console.files(text)
    with server_directory("docs") as home:
        for name, content in files.items():
            (home / name).write_text(content, "utf-8")
        modules = [name for name in files if name.endswith(".py")]
        with docs_console.running(home, modules, docs_console.nodes(text)):
            for command in docs_console.commands(text):
                assert (wrong := docs_console.differs(command)) is None, wrong


def test_a_console_that_is_wrong_is_seen() -> None:
    words = ("cron", "next", "@daily", "--after", "2026-01-01T00:00:00Z", "--count", "1")
    good = "at 00:00, every day (UTC)\n...01-02 00:00:00 +00:00"
    assert docs_console.differs(docs_console.Command(words, good)) is None
    assert docs_console.differs(docs_console.Command(words, good.replace("02", "03"))) is not None
    assert docs_console.differs(docs_console.Command(words, "tocsin: ...")) is not None
    assert docs_console.differs(docs_console.Command((*words, "--nonsense"), "")) is not None


def test_the_readme_shows_a_handler_of_one_s_own_and_calls_tocsin_in_one_way() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert set(docs_console.files(readme)) == {"mytasks.py"}
    called = [command.words for command in docs_console.commands(readme)]
    assert sum(words[0] == "curl" for words in called) == 2
    assert any("shop.report" in words for words in called)
    assert ".venv/bin/tocsin" not in readme


def test_the_guides_have_commands() -> None:
    assert {"triggers.md", "late.md", "retries.md", "cluster.md"} <= {page.name for page in GUIDES}


@pytest.mark.parametrize("name", docs_reference.TABLES)
def test_tables_are_those_of_the_program(name: str) -> None:
    text = docs_reference.PAGE.read_text("utf-8")
    found = {match[2]: match[0] for match in docs_reference.MARKED.finditer(text)}
    assert docs_reference.filled(found[name]) == found[name], "python -m tests.docs_reference writes it"


def test_the_ledger_s_words_are_explained() -> None:
    ledger = (ROOT / "docs/guides/late.md").read_text("utf-8").split("## The ledger")[1].split("\n## ")[0]
    words = {*Outcome, *Reason}
    assert [str(word) for word in words if f"| `{word}` |" not in ledger] == []


def diagram(transitions: Mapping[tuple[str, str], str]) -> str:
    """A transition table as the Mermaid text that the documents hold."""
    lines = [f"    {before} --> {after}: {change}" for (before, change), after in transitions.items()]
    return "\n".join(["stateDiagram-v2", *lines])


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/guides/life-cycles.md"])
@pytest.mark.parametrize(
    ("marker", "transitions"),
    [("task transitions", TASK_TRANSITIONS), ("execution transitions", EXECUTION_TRANSITIONS)],
)
def test_pictures_of_the_life_cycles_are_the_tables(
    page: str, marker: str, transitions: Mapping[tuple[str, str], str]
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- {marker} -->\n```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert found is not None
    assert found.group(1) == diagram(transitions)


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert dead == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as pages, built strictly: what leads nowhere, or to a heading that is not there, is an error."""
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)], cwd=ROOT, capture_output=True,
        text=True, timeout=HANG_SECONDS, check=False,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return site


def test_pages_to_browse_have_every_document(built: Path) -> None:
    documents = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert {page.relative_to(built) for page in built.rglob("*.html")} == documents | {Path("404.html")}


def test_pages_to_browse_load_nothing_from_elsewhere(built: Path) -> None:
    loads = re.compile(
        r"""<(?:script|img|iframe)[^>]*src="((?:https?:)?//[^"]*)"|<link[^>]*href="((?:https?:)?//[^"]*)\""""
    )
    found = {page.name: loads.findall(page.read_text("utf-8")) for page in built.rglob("*.html")}
    assert {name: loaded for name, loaded in found.items() if loaded} == {}
    assert loads.findall('<script defer src="https://cdn.example/x.js">') == [("https://cdn.example/x.js", "")]
    assert (built / "assets/iframe-worker.js").exists()


def test_every_guide_is_found_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in (ROOT / "docs").rglob("*.md") if f"({page.relative_to(ROOT)})" not in readme] == []
