"""The console in a browser: its first paint over many tasks, and its frames under many live updates (row P11).

A node in a process of its own, and Debian's Chromium without a window. First paint is what the browser says of the list of tasks,
beside that of an answer of the same server that is a line of text. Frames are the times between two pictures while so many
tasks run each second, on the page that shows them all on one axis and on the list. A frame that takes long is seen to hang.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tocsin.client import Client

from .bench_pages import fill
from .process import cpu_seconds, resident_megabytes

TASKS: Final = {False: 1_000, True: 10_000}
UPDATES: Final = {False: 50, True: 1_000}
WATCHED_SECONDS: Final = {False: 3.0, True: 30.0}
LOADS: Final = {False: 3, True: 11}
"""How often each page is loaded; the first one does not count."""

START_SECONDS: Final = 180.0
PATIENCE: Final = 60_000

LATE_MS: Final = 100.0

FIRST_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"

FRAMES: Final = """seconds => new Promise(done => {
  const frames = []; let last = performance.now(); const end = last + seconds * 1000;
  const tick = time => {
    frames.push(time - last); last = time;
    time < end ? requestAnimationFrame(tick) : done(frames.slice(1));
  };
  requestAnimationFrame(time => { last = time; requestAnimationFrame(tick); });
})"""


@contextmanager
def _node(data: Path) -> Iterator[Client]:
    settings = {f"TOCSIN_API_{name}": "1000000" for name in ("RATE", "BURST", "TENANT_RATE", "TENANT_BURST")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin", "up", "benchmarks.console_ticks", "--data", str(data), "--listen", "127.0.0.1:0"],
        env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (data / "node.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the node did not start")
            time.sleep(0.05)
        with Client(data=data) as client:
            yield client
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def _paint(page: Page, url: str, shown: Callable[[Page], None]) -> tuple[float, float]:
    """Milliseconds to the first paint of a page, and until what it is for is there."""
    page.goto(url)
    shown(page)
    there = float(page.evaluate("performance.now()"))
    deadline = time.monotonic() + START_SECONDS
    # Not `wait_for_function`, which the page's own policy refuses.
    while (painted := page.evaluate(FIRST_PAINT)) is None and time.monotonic() < deadline:
        page.wait_for_timeout(10)
    return float(painted), there


def _paints(page: Page, url: str, times: int, shown: Callable[[Page], None]) -> tuple[float, float]:
    found = [_paint(page, url, shown) for _ in range(times)][1:]
    return median(first for first, _ in found), median(there for _, there in found)


def _has_rows(page: Page) -> None:
    page.wait_for_selector("tbody tr")


def _log_in(context: BrowserContext, client: Client, token: str) -> Page:
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{client.url}/console")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector(".frame")
    return page


def _frames(page: Page, seconds: float) -> list[float]:
    page.wait_for_selector("main h1")
    page.wait_for_timeout(1_000)
    return sorted(page.evaluate(FRAMES, seconds))


def _told(page: Page) -> int:
    """How many events the page was told in the last second, by what it says itself; those that were folded count."""
    title = page.locator(".top [role=status]").get_attribute("title") or "0"
    return int(title.split()[0])


def run(full: bool) -> dict[str, Any]:
    """First paint and frames, at the small or the full size."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        data = Path(name) / "data"
        fill(data, TASKS[full])
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        with _node(data) as client:
            page = _log_in(browser.new_context(), client, (data / "token").read_text("ascii").strip())
            line, _ = _paints(page, f"{client.url}/api/health/live", LOADS[full], lambda _: None)
            tasks, rows = _paints(page, f"{client.url}/console/tasks", LOADS[full], _has_rows)
            total = client.call("list_tasks", limit=1)["totalSize"]
            for number in range(UPDATES[full]):
                body = {"name": f"update {number}", "taskType": "bench.update", "trigger": {"every": "1s"}}
                client.call("add_task", body=body)
            late, told = {}, {}
            for path in ("now", "tasks"):
                page.goto(f"{client.url}/console/{path}")
                frames = _frames(page, WATCHED_SECONDS[full])
                figures[f"{path}: longest frame, ms"] = frames[-1]
                figures[f"{path}: frame p99, ms"] = frames[int(len(frames) * 0.99)]
                figures[f"{path}: frames a second"] = len(frames) / WATCHED_SECONDS[full]
                told[path] = _told(page)
                figures[f"{path}: events told in a second"] = told[path]
                late[path] = sum(frame > LATE_MS for frame in frames)
                figures[f"{path}: frames over {LATE_MS:g} ms"] = late[path]
            counted = client.call("counts")["byOutcome"]
            pid = json.loads((data / "node.json").read_text(encoding="utf-8"))["pid"]
            figures |= {"resident MB of the node": resident_megabytes(pid), "CPU s of the node": cpu_seconds(pid)}
        browser.close()
    figures |= {"first paint of the list, ms": tasks, "its rows are there, ms": rows, "first paint of a line, ms": line}
    return {
        "name": "console",
        "figures": figures,
        "ratios": {"first paint: the list / a line of text": tasks / line},
        "check": {
            "expected": [TASKS[full], True, True],
            "actual": [
                total,
                sum(counted.values()) >= UPDATES[full] * WATCHED_SECONDS[full],
                min(told.values()) >= UPDATES[full],
            ],
        },
    }
