"""A task is made and edited in a form: fields of the handler's schema, next times while one writes, errors at their fields."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.console.kit import NARROW, Console, Site

HOURLY = {"every": "1h"}


def add(site: Site, name: str, kind: str = "console.typed", **more: Any) -> str:
    body = {"name": name, "taskType": kind, "trigger": HOURLY, "parameters": {"region": "eu"}} | more
    return str(site.client.call("add_task", body=body)["itemId"])


def shown(site: Site, task: str) -> dict[str, Any]:
    found: dict[str, Any] = site.client.call("show_task", task=task)
    return found


def preview(page: Page) -> Locator:
    return page.get_by_role("region", name="Preview")


def begin(console: Console, name: str, kind: str) -> Page:
    page = console.open("/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Task type").select_option(kind)
    return page


def test_fields_of_the_schema_make_a_task(console: Console) -> None:
    page = begin(console, "typed one", "console.typed")
    page.get_by_label("region *").fill("eu")
    page.get_by_label("limit", exact=True).fill("7")
    page.get_by_label("dry", exact=True).select_option("true")
    page.get_by_role("button", name="Add to names").click()
    page.get_by_label("names 1", exact=True).fill("anna")
    page.get_by_label("Kind").select_option("every")
    page.get_by_label("Interval").fill("5m")
    expect(preview(page)).to_contain_text("every 5m")
    page.get_by_text("When it fails").click()
    page.get_by_label("Retries", exact=True).fill("7")
    page.get_by_label("Tags").fill("nightly, eu")
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_role("heading", name="typed one", exact=True)).to_be_visible()
    task = shown(console.site, "typed one")
    assert task["parameters"] == {"region": "eu", "limit": 7, "dry": True, "names": ["anna"]}
    assert task["trigger"]["every"] == "5m"
    assert (task["policies"]["retry"]["maxRetries"], task["policySources"]["overlap"]) == (7, "default")
    assert task["tags"] == ["nightly", "eu"]


def test_preview_shows_times_in_the_zone_and_what_clocks_do(console: Console) -> None:
    page = begin(console, "preview", "console.quick")
    page.get_by_role("textbox", name="Cron").fill("30 2 * * *")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    expect(preview(page)).to_contain_text("at 02:30, every day")
    expect(preview(page)).to_contain_text("Times that do not exist then run when the gap ends.")
    expect(preview(page)).to_contain_text("Times that come twice run the first time only.")
    page.get_by_text("Clock changes and counting").click()
    page.get_by_label("A time that comes twice").select_option("both")
    expect(preview(page)).to_contain_text("Times that come twice run both times.")


def test_errors_stand_at_their_fields(console: Console) -> None:
    page = begin(console, "wrong", "console.typed")
    page.get_by_role("textbox", name="Cron").fill("30 25 * * *")
    expect(preview(page)).to_contain_text("'25' is out of range 0-23")
    expect(page.get_by_role("textbox", name="Cron")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("textbox", name="Cron").fill("30 5 * * *")
    expect(preview(page)).to_contain_text("at 05:30")
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_label("region *")).to_be_focused()
    expect(page.get_by_label("region *")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("region *").fill("eu")
    page.get_by_text("When it is late, or still runs").click()
    page.get_by_label("Late at most").fill("soon")
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_label("Late at most")).to_have_attribute("aria-invalid", "true")
    console.forgive("400")


def test_draft_survives_a_reload_and_goes_when_it_is_made(console: Console) -> None:
    page = begin(console, "drafted", "console.quick")
    page.get_by_role("textbox", name="Cron").fill("@daily")
    page.get_by_role("button", name="As JSON").click()
    page.get_by_label("Parameters, as JSON").fill('{"word": ')
    expect(page.get_by_role("button", name="Make the task")).to_be_disabled()
    page.reload()
    expect(page.get_by_text("This is what you wrote before.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("drafted")
    expect(page.get_by_label("Parameters, as JSON")).to_have_value('{"word": ')
    page.get_by_label("Parameters, as JSON").fill('{"word": "x"}')
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_role("heading", name="drafted", exact=True)).to_be_visible()
    page = console.open("/new")
    expect(page.get_by_label("Name", exact=True)).to_have_value("")


def test_the_same_as_command_and_as_file(console: Console) -> None:
    page = begin(console, "it's here", "console.typed")
    page.get_by_label("region *").fill("no")
    page.get_by_role("textbox", name="Cron").fill("0 6 * * *")
    page.get_by_label("Time zone").fill("Europe/Vienna")
    page.get_by_role("button", name="As a command").click()
    command = page.locator("pre.command").first
    expect(command).to_have_text(
        "tocsin task add 'it'\\''s here' --type console.typed --cron '0 6 * * *' --timezone Europe/Vienna "
        '--params \'{"region":"no"}\''
    )
    page.get_by_role("button", name="As a file").click()
    text = page.locator("pre.command").last.inner_text()
    plan = console.site.client.call("plan", body={"files": [{"name": "copied.yaml", "text": text}]})
    assert [(one["name"], one["actions"]) for one in plan["changes"]] == [("it's here", ["create"])]


def test_edit_sends_what_changed_and_nothing_else(console: Console) -> None:
    task = add(console.site, "edited", policies={"priority": 3, "timeout": "1m"}, labels={"team": "data"})
    page = console.open(f"/tasks/{task}/edit")
    expect(page.get_by_text("Nothing is changed.")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    page.get_by_label("Timeout", exact=True).fill("")
    page.get_by_label("limit", exact=True).fill("3")
    expect(page.get_by_text("Changes: parameters, policies")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="edited", exact=True)).to_be_visible()
    after = shown(console.site, task)
    assert after["parameters"] == {"region": "eu", "limit": 3}
    assert (after["policies"]["timeout"], after["policies"]["priority"], after["labels"]) == (None, 3, {"team": "data"})


def test_change_meanwhile_is_shown_and_decided(console: Console) -> None:
    task = add(console.site, "contended")
    page = console.open(f"/tasks/{task}/edit")
    page.get_by_label("Tags").fill("mine")
    console.site.client.call("edit_task", task=task, body={"parameters": {"region": "theirs"}})
    page.get_by_role("button", name="Save").click()
    conflict = page.get_by_role("alert").filter(has_text="Changed meanwhile")
    expect(conflict).to_contain_text("theirs")
    expect(conflict).to_contain_text("mine")
    assert shown(console.site, task)["tags"] == []
    conflict.get_by_role("button", name="Save mine over it").click()
    expect(page.get_by_role("heading", name="contended", exact=True)).to_be_visible()
    after = shown(console.site, task)
    assert (after["tags"], after["parameters"]) == (["mine"], {"region": "theirs"})


def test_a_run_meanwhile_is_no_conflict(console: Console) -> None:
    task = add(console.site, "runs meanwhile")
    page = console.open(f"/tasks/{task}/edit")
    page.get_by_label("Tags").fill("mine")
    console.site.client.call("run_task", task=task)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="runs meanwhile", exact=True)).to_be_visible()
    assert shown(console.site, task)["tags"] == ["mine"]


def test_copy_as_new_takes_all_but_the_name(console: Console) -> None:
    trigger = {
        "any": [{"cron": "0 5 * * *", "timezone": "Europe/Paris"}, {"everyWeeks": 2, "weekday": "mon", "at": "08:00"}],
        "maxRuns": 12,
    }
    task = add(
        console.site,
        "original",
        trigger=trigger,
        placement="all",
        events=[{"name": "tell", "actions": [{"kind": "topic", "name": "t"}]}],
    )
    page = console.open(f"/tasks/{task}")
    page.get_by_role("link", name="Copy as new").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("original copy")
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_role("heading", name="original copy", exact=True)).to_be_visible()
    before, after = (console.site.client.call("show_definition", task=name) for name in ("original", "original copy"))
    assert {**after, "name": "", "trigger": None} == {**before, "name": "", "trigger": None}
    members = [
        [(one["kind"], one.get("cron"), one.get("at")) for one in task["trigger"]["any"]] for task in (before, after)
    ]
    assert members[0] == members[1] and after["trigger"]["maxRuns"] == 12


def test_form_is_accessible_and_fits_a_narrow_window(console: Console) -> None:
    task = add(console.site, "looked at")
    for path in ("/new", f"/tasks/{task}/edit"):
        page = console.open(path)
        expect(page.get_by_label("Name", exact=True)).to_be_visible()
        assert console.serious_findings() == []
    console.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not console.overflows()
