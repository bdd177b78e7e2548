"""pykka: an actor on a thread of its own."""

import time
from statistics import median

import harness
import pykka

TELLS = harness.OPTIONS["count"]
ASKS = TELLS // 20


class Summing(pykka.ThreadingActor):
    def __init__(self):
        super().__init__()
        self.total = 0

    def on_receive(self, message):
        match message:
            case ("add", number):
                self.total += number
            case ("increment", number):
                return number + 1
            case "total":
                return self.total
        return None


def measure():
    actor = Summing.start()
    messages = [("add", number) for number in range(TELLS)]
    began, used = time.perf_counter(), time.process_time()
    for message in messages:
        actor.tell(message)
    told = actor.ask("total")
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    took, asked = [], 0
    for number in range(ASKS):
        began = time.perf_counter()
        asked += actor.ask(("increment", number))
        took.append(time.perf_counter() - began)
    actor.stop()
    return harness.messages(seconds, median(took), told, asked, cpu)


if __name__ == "__main__":
    harness.main(measure)
