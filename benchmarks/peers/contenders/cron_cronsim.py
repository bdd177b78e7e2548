"""cronsim: one iterator for each expression and zone."""

from zoneinfo import ZoneInfo

import crons
import harness
from cronsim import CronSim


def prepare(expression, zone):
    return CronSim(expression, crons.START.astimezone(ZoneInfo(zone))).__next__


if __name__ == "__main__":
    harness.main(lambda: crons.walk(prepare))
