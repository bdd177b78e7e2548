"""What a task or a webhook has a node ask for never reaches the node's neighbourhood: every spelling of every kind of address.

A real socket listens on loopback and must never be connected to. Where an address leads elsewhere the judgement is watched
instead: nothing at all may be connected to.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import attrs
import httpcore
import httpx
import pytest
import trio

from actors.herald_messages import DeliveryFailed
from actors.model.event import Webhook
from tests.tocsin.test_webhook import delivery
from tocsin.handlers.http import HttpFailed, make_http
from tocsin.handlers.reachable import may_be_reached
from tocsin.handlers.webhook import webhook_sender
from tocsin.live.logs import QUIET

LOOPBACK = ip_network("127.0.0.0/8")


@attrs.define
class Trap:
    """A listening socket. `met`: what those who came have sent; `answer`: what they get."""

    port: int
    met: list[bytes] = attrs.field(factory=list)
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def trap() -> Iterator[Trap]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.05)
        found, done = Trap(listening.getsockname()[1]), threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    met, _ = listening.accept()
                except TimeoutError:
                    continue
                with met:
                    found.met.append(met.recv(65_536))
                    met.sendall(found.answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield found
        done.set()
        thread.join()


class Silent:
    """The part of a context that the handler uses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = self

    def info(self, text: str, *values: object) -> None:
        self.lines.append(text % values)


async def by_webhook(url: str, *allowed: Any) -> str:
    return await webhook_sender(allowed)(delivery(Webhook(url)))


async def by_task(url: str, *allowed: Any) -> str:
    return str(await make_http(allowed)(Silent(), url=url, timeout_seconds=10))


WAYS = pytest.mark.parametrize("ask", [by_webhook, by_task], ids=["webhook", "http task"])
REFUSED = (DeliveryFailed, HttpFailed)

Ask = Callable[..., Any]


# -- spellings of this machine


def spellings_of(address: str) -> dict[str, str]:
    """Texts that some program or other takes for an IPv4 address."""
    number, parts = int(IPv4Address(address)), [int(part) for part in address.split(".")]
    hidden = {
        "mapped": f"[::ffff:{address}]",
        "mapped, in hex": f"[{IPv6Address((0xFFFF << 32) | number)}]",
        "mapped, in full": f"[0000:0000:0000:0000:0000:ffff:{number >> 16:04x}:{number & 0xFFFF:04x}]",
        "compatible": f"[::{address}]",
        "translated": f"[::ffff:0:{address}]",
        "NAT64": f"[64:ff9b::{address}]",
        "local NAT64": f"[64:ff9b:1::{address}]",
        "6to4": f"[{IPv6Address((0x2002 << 112) | (number << 80) | 1)}]",
        "Teredo": f"[{IPv6Address((0x20010000 << 96) | (number << 64) | (number ^ 0xFFFFFFFF))}]",
        "ISATAP": f"[2606:4700::5efe:{address}]",
    }
    return hidden | {
        "plain": address,
        "decimal": str(number),
        "hex": hex(number),
        "hex in capitals": f"0X{number:08X}",
        "octal": f"0{number:o}",
        "octal parts": ".".join(f"0{part:o}" for part in parts),
        "hex parts": ".".join(hex(part) for part in parts),
        "mixed parts": f"{parts[0]}.{hex(parts[1])}.0{parts[2]:o}.{parts[3]}",
        "two parts": f"{parts[0]}.{number & 0xFFFFFF}",
        "three parts": f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        "trailing dot": f"{address}.",
        "leading zeros": ".".join(f"{part:03}" for part in parts),
        "full-width digits": address.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
        "full-width dots": address.replace(".", "\uff0e"),
        "ideographic dots": address.replace(".", "\u3002"),
        "circled digits": address.translate({49 + digit: 0x2460 + digit for digit in range(9)}),
        "escaped": address.replace("1", "%31"),
        "with a user": f"example.org@{address}",
        "behind a backslash": f"{address}\\@example.org",
        "behind a fragment": f"{address}#@example.org",
    }


SPELLINGS = sorted(spellings_of("127.0.0.1").items())
NAMES = ["localhost", "LOCALHOST", "localhost.", "ip6-localhost", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
         "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "0.0.0.0", "0", "127.255.255.254"]  # fmt: skip


@WAYS
@pytest.mark.parametrize("host", [host for _, host in SPELLINGS] + NAMES, ids=[name for name, _ in SPELLINGS] + NAMES)
async def test_this_machine_is_not_reached_however_it_is_written(ask: Ask, host: str, trap: Trap) -> None:
    # What is before an @ is a user's name, so the port has to come after what is meant to be the host.
    url = f"http://{host}:{trap.port}/" if not host.endswith("@example.org") else f"http://{host}/"
    if host.endswith("@example.org"):
        url = url.replace("127.0.0.1", f"127.0.0.1:{trap.port}")
    with pytest.raises((*REFUSED, ValueError)):
        await ask(url)
    assert trap.met == []


@WAYS
async def test_the_trap_works_and_what_is_allowed_is_reached(ask: Ask, trap: Trap) -> None:
    assert "204" in await ask(f"http://127.0.0.1:{trap.port}/x", LOOPBACK)
    assert len(trap.met) == 1 and f"Host: 127.0.0.1:{trap.port}".encode() in trap.met[0]


# -- every kind of address, hidden in every form: nothing is connected to

KINDS = {
    "private": "10.1.2.3", "private 172": "172.31.255.1", "private 192": "192.168.0.1", "loopback": "127.0.0.1",
    "link-local": "169.254.1.1", "metadata": "169.254.169.254", "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192", "services of Azure": "168.63.129.16", "unspecified": "0.0.0.0",
    "multicast": "224.0.0.1", "administrative multicast": "239.1.1.1", "carrier-grade NAT": "100.64.0.1",
    "end of it": "100.127.255.255", "benchmark": "198.18.0.1", "documentation": "203.0.113.5", "6to4 relay": "192.88.99.1",
    "reserved": "240.0.0.1", "broadcast": "255.255.255.255", "protocols": "192.0.0.1", "this network": "0.1.2.3",
}  # fmt: skip
IN_SIX = {
    "loopback": "::1", "unspecified": "::", "unique local": "fc00::1", "metadata of AWS": "fd00:ec2::254",
    "metadata of Google": "fd20:ce::254", "link-local": "fe80::1", "link-local with a zone": "fe80::1%25lo",
    "site-local": "fec0::1", "multicast": "ff02::1", "global multicast": "ff0e::1", "documentation": "2001:db8::1",
    "newer documentation": "3fff::1", "discard": "100::1", "segment routing": "5f00::1", "ORCHID": "2001:20::1",
    "benchmark": "2001:2::1", "not assigned": "4000::1",
}  # fmt: skip


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts to which a connection was begun; it then fails."""
    found: list[str] = []

    async def connect_tcp(self: object, host: str, *_: object, **__: object) -> None:
        found.append(host)
        raise httpcore.ConnectError("stopped by the test")

    monkeypatch.setattr(httpcore.TrioBackend, "connect_tcp", connect_tcp)
    monkeypatch.setattr("httpcore._backends.auto.AutoBackend.connect_tcp", connect_tcp)
    return found


FORMS = [
    pytest.param(spelling, id=f"{kind}: {form}")
    for kind, address in KINDS.items()
    for form, spelling in spellings_of(address).items()
    if "@" not in spelling
] + [pytest.param(f"[{address}]", id=f"{kind}, IPv6") for kind, address in IN_SIX.items()]


@pytest.mark.parametrize("host", FORMS)
async def test_no_address_of_a_kind_that_is_not_public_is_connected_to(host: str, connected: list[str]) -> None:
    for ask in (by_webhook, by_task):
        for scheme in ("http", "https"):
            with pytest.raises((*REFUSED, ValueError)):
                await ask(f"{scheme}://{host}/latest/meta-data/")
    assert connected == []


async def test_a_public_address_is_connected_to(connected: list[str]) -> None:
    for ask in (by_webhook, by_task):
        with pytest.raises(REFUSED, match="stopped by the test"):
            await ask("http://93.184.216.34/")
    assert connected == ["93.184.216.34"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_hidden_in_another_address_is_judged_like_it(kind: str) -> None:
    number = int(IPv4Address(KINDS[kind]))
    for base in (0xFFFF << 32, 0x64FF9B << 96, 0xFFFF << 48, 0, (0x2606 << 112) | (0x5EFE << 32)):
        assert not may_be_reached(IPv6Address(base | number), ())


# -- names


Answers = list[list[str]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Answers of a name server, one for each time that it is asked; the last one stays."""
    answers: Answers = []

    async def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ip_address(one).version == 6 else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port),
            )
            for one in addresses
        ]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    return answers


@WAYS
async def test_a_name_with_another_second_answer_is_asked_once(
    ask: Ask, resolver: Answers, connected: list[str]
) -> None:
    resolver.extend([["93.184.216.34"], ["127.0.0.1"]])
    with pytest.raises(REFUSED):
        await ask("http://rebinding.example.org/")
    assert connected == ["93.184.216.34"]
    assert resolver == [["127.0.0.1"]]


@WAYS
async def test_of_the_answers_only_the_public_ones_are_used(ask: Ask, resolver: Answers, connected: list[str]) -> None:
    resolver.append(["127.0.0.1", "93.184.216.34", "fd00:ec2::254", "::ffff:10.0.0.1", "169.254.169.254", "1.1.1.1"])
    with pytest.raises(REFUSED):
        await ask("https://both.example.org/")
    assert connected == ["93.184.216.34", "1.1.1.1"]


@WAYS
@pytest.mark.parametrize("host", ["h\u00f6st.example", "xn--hst-sna.example", "a.example.", "A.EXAMPLE"])
async def test_a_name_is_judged_by_its_addresses_however_it_is_written(
    ask: Ask, host: str, resolver: Answers, connected: list[str]
) -> None:
    resolver.append(["10.0.0.1", "::1"])
    with pytest.raises(REFUSED, match="is not public and not in"):
        await ask(f"http://{host}/")
    assert connected == []


# -- detours


@WAYS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_leads_to_what_is_not_allowed(ask: Ask, status: int, trap: Trap, resolver: Answers) -> None:
    """Only one loopback address is allowed; the answer from there sends to another one, where the same socket listens."""
    resolver.append(["127.0.0.1"])
    trap.answer = (
        f"HTTP/1.1 {status} Elsewhere\r\nLocation: http://127.0.0.1:{trap.port}/second\r\n"
        "Refresh: 0; url=http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    with pytest.raises(REFUSED, match=str(status)):
        await ask(f"http://redirects.example.org:{trap.port}/first", ip_network("127.0.0.1/32"))
    assert len(trap.met) == 1 and b"/first" in trap.met[0]


@WAYS
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
async def test_no_proxy_of_the_environment_is_used(
    ask: Ask, variable: str, trap: Trap, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{trap.port}")
    for scheme in ("http", "https"):
        with pytest.raises(REFUSED, match="stopped by the test"):
            await ask(f"{scheme}://93.184.216.34/")
    assert connected == ["93.184.216.34"] * 2 and trap.met == []


async def test_a_task_asks_for_nothing_compressed_and_unpacks_nothing(trap: Trap) -> None:
    import gzip

    packed = gzip.compress(b"x" * 1_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    trap.answer = head + packed
    assert "xxxx" not in await by_task(f"http://127.0.0.1:{trap.port}/", LOOPBACK)
    assert b"Accept-Encoding: identity" in trap.met[0]


async def test_what_people_put_into_addresses_is_in_no_message(trap: Trap) -> None:
    context = Silent()
    url = f"http://ada:canary-a@127.0.0.1:{trap.port}/x?key=canary-b#canary-c"
    await make_http([LOOPBACK])(context, url=url, timeout_seconds=10)
    with pytest.raises(HttpFailed) as refused:
        await make_http()(context, url=url)
    for text in (*context.lines, str(refused.value)):
        assert "canary" not in text and "/x" in text


@WAYS
async def test_the_library_logs_nothing_of_a_request(ask: Ask, trap: Trap, caplog: pytest.LogCaptureFixture) -> None:
    """It would tell whole addresses, and the headers of answers; of other requests in the program it goes on to tell."""
    for name in ("", *QUIET):
        caplog.set_level("DEBUG", logger=name)
    trap.answer = b"HTTP/1.1 204 No Content\r\nSet-Cookie: canary=1\r\n\r\n"
    await ask(f"http://127.0.0.1:{trap.port}/canary?key=canary", LOOPBACK)
    assert "canary" not in caplog.text and "httpcore" not in caplog.text
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{trap.port}/x")
    assert "httpcore" in caplog.text and f"{trap.port}/x" in caplog.text
