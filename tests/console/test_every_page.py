"""What holds of every page: it shows, complains of nothing, asks nobody else, fits, and can be used without a mouse or eyes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.console.kit import NARROW, WIDE, Console, Site, new_console
from tests.source import ROOT

SCRIPT = "<script>window.hurt=1</script>"

HOSTILE = (
    SCRIPT,
    "<img src=x onerror=window.hurt=1>",
    '"><svg onload=window.hurt=1>',
    "javascript:window.hurt=1//",
    "${window.hurt=1} {{7*7}} `x`",
    "مهمة من اليمين إلى اليسار",
    "mañana 明日 🔔 " + "long" * 20,
)
"""Texts that a page must show as texts, whoever gave them."""


@pytest.fixture(scope="module", autouse=True)
def furnished(site: Site) -> None:
    """Hostile texts wherever somebody may leave one, and something of everything to show."""
    client = site.client
    for at, text in enumerate(HOSTILE):
        client.call(
            "add_task",
            body={
                "name": text,
                "taskType": "console.fails",
                "trigger": {"cron": "0 3 * * *", "timezone": "Europe/Vienna"},
                "parameters": {"why": text},
                "tags": [text[:60]],
                "labels": {"about": text[:60]},
                "policies": {
                    "retry": {"maxRetries": 0},
                    "queue": f"queue {at}",
                    "concurrency": {"key": text[:60], "limit": 1},
                },
            },
        )
        client.call("run_task", task=text)
        client.call("pause_task", task=text, body={"note": text})
    client.call("add_token", body={"name": SCRIPT, "role": "viewer", "user": HOSTILE[1]})
    client.call("put_calendar", calendar="holidays", body={"days": ["2026-12-25"]})


def _pages() -> list[str]:
    text = (ROOT / "tocsin/console/static/js/pages.js").read_text("utf-8")
    return re.findall(r'path: "([^"]+)"', text)


def _addresses(site: Site) -> dict[str, str]:
    """Each page of the console -> an address of it."""
    task = site.client.call("find_task", reference=HOSTILE[0])["itemId"]
    execution = site.client.call("list_executions", task=task)["list"][0]["id"]
    return {path: "/" + path.replace("executions/*", f"executions/{execution}").replace("*", task) for path in _pages()}


@pytest.mark.parametrize("path", _pages())
def test_page_shows_hostile_texts_as_texts_and_complains_of_nothing(console: Console, path: str) -> None:
    page = console.open(_addresses(console.site)[path])
    page.wait_for_load_state("load")
    expect(page.locator(".loading")).to_have_count(0)
    expect(page.locator(".note.bad")).to_have_count(0)
    assert page.evaluate("window.hurt") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_fit_and_have_no_serious_finding(browser: Browser, site: Site, size: dict[str, int], theme: str) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    console = new_console(site, context)
    console.log_in()
    found: dict[str, list[str]] = {}
    for path, address in _addresses(site).items():
        page = console.open(address)
        expect(page.locator(".loading")).to_have_count(0)
        problems = console.serious_findings()
        if console.overflows():
            problems.append("wider than its window")
        if problems:
            found[path] = problems
    context.close()
    assert found == {}
    assert console.complaints == []


def test_door_has_no_serious_finding(visitor: Console) -> None:
    visitor.page.goto(f"{visitor.site.url}/console")
    expect(visitor.page.get_by_label("Token")).to_be_visible()
    assert visitor.serious_findings() == []


def test_checks_of_pages_can_fail(console: Console) -> None:
    page = console.open("/audit")
    page.evaluate("""() => {
        const main = document.querySelector("main");
        const wide = document.createElement("p");
        wide.textContent = "wide";
        wide.style.width = "3000px";
        main.append(document.createElement("input"), document.createElement("img"), wide);
        console.error("planted");
    }""")
    assert {finding.split(":")[0] for finding in console.serious_findings()} >= {"label", "image-alt"}
    assert console.overflows()
    console.forgive("planted")
    page.evaluate("fetch('http://127.0.0.1:1/').catch(() => 0)")
    assert console.elsewhere == []  # the policy does not let it be asked at all
    console.forgive("Content Security Policy")
