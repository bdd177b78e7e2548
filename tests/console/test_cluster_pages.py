"""Three real nodes in a browser: who owns what, a killed node, a drained one, executors, the actors of any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.cluster.harness import Cluster, cluster
from tests.console import console_tasks
from tests.console.kit import NARROW, Console, Site, new_console
from tests.source import ROOT
from tocsin.embedded.postgres import EmbeddedPostgres
from tocsin.embedded.zookeeper import EmbeddedZooKeeper

pytestmark = pytest.mark.timeout(600)

TAKEOVER = 60_000
"""Milliseconds: a bound against hanging, far above a session timeout and what follows it."""


@pytest.fixture(scope="module")
def three(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres, zookeeper_server: EmbeddedZooKeeper
) -> Iterator[Cluster]:
    """Nodes n1, n2, n3 that own a third each."""
    module = ROOT / "tests/console" / f"{console_tasks.__name__.rsplit('.', 1)[-1]}.py"
    with cluster(tmp_path_factory.mktemp("three"), postgres_server, zookeeper_server, module) as made:
        made.start()
        made.wait_balanced()
        yield made


@pytest.fixture(scope="module")
def site(three: Cluster) -> Iterator[Site]:
    """The first of them."""
    with three.client("n1") as client:
        yield Site(client.url, (three.nodes["n1"].data / "token").read_text("ascii").strip(), client)


def row(page: Page, node: str) -> Locator:
    return page.get_by_role("table", name="Nodes").get_by_role("row").filter(has=page.get_by_text(node, exact=True))


def owned(page: Page, node: str) -> Locator:
    """The squares of a node's partitions."""
    return page.get_by_role("grid").get_by_role("button", name=re.compile(f"^Partition [0-9]+: {node},"))


def test_all_nodes_are_there_and_share_the_partitions(console: Console, three: Cluster) -> None:
    page = console.open("/nodes")
    for node in three.nodes:
        expect(row(page, node)).to_contain_text("Alive")
        expect(owned(page, node)).to_have_count(three.shares("n1")[node])
    expect(page.get_by_role("grid").get_by_role("button")).to_have_count(256)
    expect(page.get_by_text("★ leader")).to_have_count(1)
    expect(page.get_by_role("list", name="Partitions by owner")).to_contain_text("n3")


def test_a_partition_is_chosen_with_the_keyboard_and_stands_in_the_address(console: Console) -> None:
    page = console.open("/nodes")
    page.get_by_role("grid").get_by_role("button", name=re.compile("^Partition 0:")).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name=re.compile("^Partition 17:"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?partition=17$"))
    page.reload()
    expect(page.get_by_role("region", name="Partition 17")).to_contain_text("Epoch")


def test_the_partitions_of_a_killed_node_move_while_one_watches(console: Console, three: Cluster) -> None:
    page = console.open("/nodes")
    expect(owned(page, "n3").first).to_be_visible()
    three.nodes["n3"].kill()
    expect(row(page, "n3")).to_contain_text("Dead", timeout=TAKEOVER)
    expect(owned(page, "n3")).to_have_count(0, timeout=TAKEOVER)
    shown = owned(page, "n1").count() + owned(page, "n2").count()
    assert shown == 256
    hand_overs = page.get_by_role("list", name="Hand-overs, the newest first")
    expect(
        hand_overs.get_by_role("listitem").filter(has_text="Lost").filter(has_text="from 3 n3").first
    ).to_be_visible()
    # It is the history that tells it: so it does to whoever comes later, with the cause.
    expect(hand_overs.get_by_role("listitem").filter(has_text="Founded").first).to_be_visible()
    page.reload()
    expect(
        hand_overs.get_by_role("listitem").filter(has_text="Lost").filter(has_text="from 3 n3").first
    ).to_be_visible()
    page.get_by_role("grid").get_by_role("button", name=re.compile("^Partition 0:")).click()
    owners = page.get_by_role("region", name="Partition 0").get_by_role("list", name="Its owners, the newest first")
    expect(owners.get_by_role("listitem").last).to_contain_text("Founded")
    console.page.goto(f"{console.site.url}/console/health")
    expect(page.get_by_text("n3 is dead")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="worth a look")).to_be_visible()
    three.start("n3")
    three.wait_balanced()
    page.goto(f"{console.site.url}/console/nodes")
    expect(row(page, "n3")).to_contain_text("Alive", timeout=TAKEOVER)
    expect(owned(page, "n3").first).to_be_visible(timeout=TAKEOVER)


def test_a_node_is_drained_to_the_end_and_takes_part_again(console: Console, three: Cluster) -> None:
    page = console.open("/nodes")
    row(page, "n2").get_by_role("button", name="Drain", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text("tocsin node drain n2 --wait")
    dialog.get_by_role("button", name="Drain", exact=True).click()
    expect(page.get_by_text("n2 is drained.")).to_be_visible(timeout=TAKEOVER)
    expect(owned(page, "n2")).to_have_count(0)
    assert "n2" not in three.shares("n1")
    row(page, "n2").get_by_role("button", name="Undrain").click()
    page.get_by_role("dialog").get_by_role("button", name="Undrain").click()
    expect(row(page, "n2")).to_contain_text("Alive", timeout=TAKEOVER)
    expect(owned(page, "n2").first).to_be_visible(timeout=TAKEOVER)


def test_an_executor_is_switched_off_and_on(console: Console) -> None:
    page = console.open("/nodes")
    row(page, "n2").get_by_role("button", name="Executor off").click()
    page.get_by_role("dialog").get_by_role("button", name="Executor off").click()
    expect(row(page, "n2")).to_contain_text("No executor")
    row(page, "n2").get_by_role("button", name="Executor on").click()
    page.get_by_role("dialog").get_by_role("button", name="Executor on").click()
    expect(row(page, "n2")).not_to_contain_text("No executor")


def test_the_actors_of_another_node_are_shown(console: Console) -> None:
    page = console.open("/actors")
    page.get_by_label("Node", exact=True).select_option("n2")
    expect(page).to_have_url(re.compile(r"node=n2"))
    expect(page.get_by_role("treeitem", name=re.compile("gossip"))).to_be_visible()
    expect(page.get_by_text(re.compile("All [0-9]+ actors of n2 are well"))).to_be_visible()


def test_the_pages_of_a_cluster_fit_a_telephone(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport=NARROW, reduced_motion="reduce")  # type: ignore[arg-type]
    console = new_console(site, context)
    console.log_in()
    wide = []
    for path in ("/nodes?partition=3", "/actors?actor=node/durable", "/health"):
        page = console.open(path)
        expect(page.locator(".loading")).to_have_count(0)
        if console.overflows() or console.serious_findings():
            wide.append((path, console.serious_findings()))
    context.close()
    assert wide == []
