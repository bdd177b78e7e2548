"""Tocsin: an expression is parsed once, instants are whole microseconds."""

import crons
import harness

from actors.when.cron import parse
from actors.when.cron_search import next_fire
from actors.when.zones import zone
from runtime.clock import SECOND, Instant


def prepare(expression, zone_name):
    spec, place = parse(expression), zone(zone_name)
    moment = Instant(int(crons.START.timestamp()) * SECOND)

    def step():
        nonlocal moment
        moment = next_fire(spec, place, moment)
        return moment

    return step


if __name__ == "__main__":
    harness.main(lambda: crons.walk(prepare))
