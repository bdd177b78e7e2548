"""Tickets: once, within a minute, and not too many of them."""

from __future__ import annotations

from tocsin.access.caller import FIRST_ADMINISTRATOR
from tocsin.access.tickets_core import MOST, TICKET_SECONDS, Tickets


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets()
    tickets.give("secret", FIRST_ADMINISTRATOR, 10.0)
    assert tickets.take("another", 11.0) is None
    assert tickets.take("secret", 11.0) is FIRST_ADMINISTRATOR
    assert tickets.take("secret", 11.0) is None


def test_a_ticket_is_good_for_a_minute() -> None:
    tickets = Tickets()
    tickets.give("early", FIRST_ADMINISTRATOR, 0.0)
    tickets.give("late", FIRST_ADMINISTRATOR, 0.0)
    assert tickets.take("early", TICKET_SECONDS - 0.001) is FIRST_ADMINISTRATOR
    assert tickets.take("late", TICKET_SECONDS) is None


def test_of_too_many_the_oldest_is_forgotten() -> None:
    tickets = Tickets()
    for number in range(MOST + 1):
        tickets.give(str(number), FIRST_ADMINISTRATOR, 0.0)
    assert tickets.take("0", 1.0) is None
    assert tickets.take("1", 1.0) is FIRST_ADMINISTRATOR
    assert tickets.take(str(MOST), 1.0) is FIRST_ADMINISTRATOR
