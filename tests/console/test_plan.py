"""Definitions from files: the difference first, the change with its proof, and the way back to a file."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.console.kit import NARROW, Console

TEXT = """tasks:
  - name: report
    taskType: console.typed
    trigger: {{cron: {cron}, timezone: Europe/Berlin}}
    parameters: {{region: {region}}}
"""


def planned(page: Page, text: str) -> None:
    page.get_by_label("tasks.yaml").fill(text)
    page.get_by_role("button", name="Show the plan").click()


def apply(page: Page) -> None:
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()


def test_plan_shows_the_difference_and_apply_makes_it(console: Console) -> None:
    page = console.open("/plan")
    planned(page, TEXT.format(cron="30 2 * * *", region="eu"))
    expect(page.get_by_text("1 to be made, 0 to be changed, 0 to be deleted, 0 unchanged.")).to_be_visible()
    expect(page.get_by_text("appear:")).to_be_visible()
    apply(page)
    expect(page.get_by_text("Nothing to change: 1 task as the files say.")).to_be_visible()
    planned(page, TEXT.format(cron="30 4 * * *", region="us"))
    change = page.locator(".change")
    expect(change).to_contain_text("trigger.cron")
    expect(change.locator("del").first).to_contain_text("30 2 * * *")
    expect(change.locator("ins").first).to_contain_text("30 4 * * *")
    expect(change).to_contain_text("move:")
    page.reload()
    expect(page.get_by_label("tasks.yaml")).to_have_value(TEXT.format(cron="30 4 * * *", region="us"))


def test_every_problem_is_told_with_its_line_and_nothing_is_changed(console: Console) -> None:
    page = console.open("/plan")
    planned(
        page,
        TEXT.format(cron="30 25 * * *", region="eu").replace("report", "wrong")
        + "  - name: other\n    taskType: consol.typed\n    trigger: {every: 1h}\n",
    )
    problems = page.get_by_role("alert").get_by_role("listitem")
    expect(problems).to_have_count(2)
    expect(problems.first).to_contain_text("tasks.yaml:")
    console.forgive("400")


def test_plan_that_is_old_is_refused(console: Console) -> None:
    page = console.open("/plan")
    planned(page, TEXT.format(cron="30 6 * * *", region="eu").replace("report", "raced"))
    expect(page.get_by_role("button", name="Apply")).to_be_visible()
    body = {"name": "raced", "taskType": "console.typed", "trigger": {"every": "1h"}, "parameters": {"region": "x"}}
    console.site.client.call("add_task", body=body)
    apply(page)
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("plan")
    assert console.site.client.call("show_task", task="raced")["parameters"] == {"region": "x"}
    console.forgive("409")


def test_prune_deletes_what_an_owner_has_no_longer(console: Console) -> None:
    page = console.open("/plan?owner=team&prune=1")
    planned(
        page,
        TEXT.format(cron="30 2 * * *", region="eu").replace("report", "stays")
        + TEXT.format(cron="30 3 * * *", region="eu").replace("report", "goes").removeprefix("tasks:\n"),
    )
    apply(page)
    expect(page.get_by_text("Nothing to change: 2 tasks as the files say.")).to_be_visible()
    planned(page, TEXT.format(cron="30 2 * * *", region="eu").replace("report", "stays"))
    expect(page.locator(".change-delete")).to_contain_text("goes")
    apply(page)
    expect(page.get_by_text("Nothing to change: 1 task as the files say.")).to_be_visible()


def test_file_is_taken_and_export_is_downloaded(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text(TEXT.format(cron="0 1 * * *", region="eu").replace("report", "from a file"), "utf-8")
    page = console.open("/plan")
    page.get_by_label("Or drop files here, or choose them:").set_input_files(file)
    expect(page.get_by_label("more.yaml", exact=True)).to_have_value(file.read_text("utf-8"))
    page.get_by_role("button", name="Show the plan").click()
    apply(page)
    expect(page.get_by_text("Nothing to change")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as YAML").click()
    exported = Path(download.value.path()).read_text("utf-8")
    plan = console.site.client.call("plan", body={"files": [{"name": "all.yaml", "text": exported}]})
    assert plan["empty"] is True
    assert "from a file" in exported


def test_plan_is_accessible_and_fits_a_narrow_window(console: Console) -> None:
    page = console.open("/plan")
    planned(page, TEXT.format(cron="30 2 * * *", region="x" * 200).replace("report", "y" * 120))
    expect(page.locator(".change")).to_have_count(1)
    assert console.serious_findings() == []
    console.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not console.overflows()
