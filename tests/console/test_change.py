"""The pages about who changed what, and who may."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.kit import Console
from tocsin.client import Client


def test_change_stands_in_the_audit_log_with_before_and_after(console: Console) -> None:
    client = console.site.client
    client.call("add_task", body={"name": "edited", "taskType": "console.quick", "trigger": {"every": "1h"}})
    client.call("pause_task", task="edited", body={"note": "for now"})
    page = console.open("/audit?action=PauseTask")
    row = page.get_by_role("row").filter(has_text="pause task").first
    expect(row).to_contain_text("administrator")
    row.locator("summary").click()
    expect(row.get_by_role("table")).to_contain_text("for now")


def test_log_is_verified_and_a_seal_told(console: Console) -> None:
    page = console.open("/audit")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Intact:")).to_be_visible()
    expect(page.get_by_text("Seal", exact=True)).to_be_visible()


def test_audit_filters_are_in_the_address(console: Console) -> None:
    page = console.open("/audit")
    page.get_by_label("Who").fill("nobody at all")
    page.get_by_label("Who").press("Enter")
    page.get_by_label("What").click()
    expect(page.get_by_text("No record fits.")).to_be_visible()
    expect(page).to_have_url(f"{console.site.url}/console/audit?actor=nobody+at+all")


def test_token_is_made_shown_once_and_revoked(console: Console) -> None:
    page = console.open("/access")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("grafana")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text("tocsin token add grafana --role viewer")
    dialog.get_by_role("button", name="New token").click()
    shown = page.get_by_role("status").filter(has_text="shown this once").locator("code")
    token = shown.inner_text()
    assert Client(console.site.url, token).call("version")
    page.reload()
    row = page.get_by_role("row").filter(has_text="grafana")
    expect(row).to_contain_text("valid")
    expect(page.get_by_text(token)).to_have_count(0)
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")


def test_what_a_viewer_may_not_do_is_greyed_out_and_refused(console: Console) -> None:
    console.page.get_by_role("button", name="Log out").click()
    made = console.site.client.call("add_token", body={"name": "looker", "role": "viewer"})
    console.page.get_by_label("Token").fill(made["token"])
    console.page.get_by_role("button", name="Log in").click()
    expect(console.page.get_by_text("looker · viewer")).to_be_visible()
    page = console.open("/tasks")
    expect(page.get_by_role("button", name="Run now").first).to_be_disabled()
    page = console.open("/access")
    expect(page.get_by_role("alert")).to_contain_text("role")
    console.forgive("403")
