"""thespian: an actor in the thread of its sender, or in a process of its own over TCP."""

import time
from statistics import median

import harness
from thespian.actors import Actor, ActorSystem

TELLS = harness.OPTIONS["count"]
ASKS = TELLS // 20
TIMEOUT_SECONDS = 120
QUIET = {"version": 1, "root": {"level": "CRITICAL"}}


class Summing(Actor):
    total = 0

    def receiveMessage(self, message, sender):  # noqa: N802 - thespian's name for it
        match message:
            case ("add", number):
                self.total += number
            case ("increment", number):
                self.send(sender, number + 1)
            case "total":
                self.send(sender, self.total)


def measure():
    system = ActorSystem(f"{harness.OPTIONS['base']}Base", logDefs=QUIET)
    try:
        return talk(system)
    finally:
        system.shutdown()


def talk(system):
    actor = system.createActor(Summing)
    system.ask(actor, "total", TIMEOUT_SECONDS)
    messages = [("add", number) for number in range(TELLS)]
    began, used = time.perf_counter(), time.process_time()
    for message in messages:
        system.tell(actor, message)
    told = system.ask(actor, "total", TIMEOUT_SECONDS)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    took, asked = [], 0
    for number in range(ASKS):
        began = time.perf_counter()
        asked += system.ask(actor, ("increment", number), TIMEOUT_SECONDS)
        took.append(time.perf_counter() - began)
    return harness.messages(seconds, median(took), told, asked, cpu)


if __name__ == "__main__":
    harness.main(measure)
