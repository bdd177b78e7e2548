"""A process that carries out one seed after the other, as it is told by lines of JSON, and answers each with such a line.

    {"seed": 7, "size": "full"}   or   {"plan": "Plan(...)"}, with "deadline": seconds of real time

What takes longer ends the process, with a traceback of where it was on its error stream.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
import traceback
from typing import Any

from ..rehearsal.outcome import Outcome, judge
from ..rehearsal.plan_text import read
from ..rehearsal.swarm import SIZES, draw


def answer(asked: dict[str, Any]) -> Outcome:
    """Carry out what a line asks for. Whatever goes wrong is told as the seed's failure."""
    seed = asked.get("seed", 0)
    signal.setitimer(signal.ITIMER_REAL, asked["deadline"])
    try:
        plan = read(asked["plan"]) if "plan" in asked else draw(seed, SIZES[asked["size"]])
        seed = plan.seed
        return judge(plan)
    except Exception:
        return Outcome(seed, error=traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def give_up() -> None:
    """The deadline has passed. Told by this thread itself: another one may find its frames in the middle of a change."""
    print("the deadline has passed", file=sys.stderr, flush=True)
    faulthandler.dump_traceback()
    os._exit(1)


def main() -> None:
    """Until nobody asks any more."""
    signal.signal(signal.SIGALRM, lambda *_: give_up())
    # What nodes say under faults is counted, and nobody reads it.
    logging.getLogger().addHandler(logging.NullHandler())
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line)).as_json()), flush=True)


if __name__ == "__main__":
    main()
