"""The other end of a companion: answers what `companion.Companion` asks, until the socket is closed.

Run as a script with the number of the socket, the path of a module, and that module's arguments: its `begin` is called with
these and answers a function, which is called with each question and answers it. This script imports little and the module
should not import more, so that a companion is there in a moment and takes little memory: it has neither site packages nor
Tocsin's own.

Questions and answers are frames: four bytes of length, then JSON, of which nothing but data can come.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

LENGTH = struct.Struct("!I")


def framed(text: bytes) -> bytes:
    """A message as it is sent."""
    return LENGTH.pack(len(text)) + text


def receive(link: socket.socket) -> bytearray:
    """Wait for a message and read it. Raises ConnectionResetError when the socket is closed."""
    (length,) = LENGTH.unpack(_take(link, LENGTH.size))
    return _take(link, length)


def _take(link: socket.socket, count: int) -> bytearray:
    found = bytearray(count)
    view, got = memoryview(found), 0
    while got < count:
        read = link.recv_into(view[got:])
        if not read:
            raise ConnectionResetError("the socket was closed")
        got += read
    return found


def main() -> None:
    """See the module's docstring."""
    # An interrupt at a terminal or a service's stop is for the one who asks: he closes the socket when he has no more questions.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    number, path, *arguments = sys.argv[1:]
    loader = SourceFileLoader("companion", path)
    spec = spec_from_loader("companion", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    answer = module.begin(*arguments)
    with socket.socket(fileno=int(number)) as link:
        try:
            while True:
                link.sendall(framed(json.dumps(answer(json.loads(receive(link)))).encode()))
        except ConnectionError:
            return


if __name__ == "__main__":
    main()
