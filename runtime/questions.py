"""Questions over links: their numbers, the answers that come back, and the handlers that give answers here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from struct import Struct
from typing import Any, Final

import attrs
import trio

from .codec import Codec, CodecError
from .errors import PeerUnreachable, TocsinError
from .fabric_messages import Limits, PeerFailed
from .fabric_peer import Peer
from .link import ANSWER, ASK, FAILURE

Answerer = Callable[[str, Any], Awaitable[object]]
"""Called with (boot of the asker, question); what it returns is the answer."""

Complain = Callable[[str, str, Exception], None]
"""Called with (subject, what it is about, what was wrong)."""

_ASK: Final = Struct("!BQIB")
"""Kind, number, milliseconds left, length of the name; the name and the question follow."""

_ANSWER: Final = Struct("!BQ")
"""Kind, number; the answer follows, or in UTF-8 why there is none."""

_MOST_MILLISECONDS: Final = 2**32 - 1

_MOST_TEXT: Final = 300
"""Characters of a failure's text."""


@attrs.define(eq=False)
class Question:
    """One question that waits for its answer."""

    number: int
    peer: Peer
    done: trio.Event = attrs.field(factory=trio.Event)
    answer: Any = None
    error: TocsinError | None = None

    async def wait(self) -> Any:
        """The answer. Raises what stands in its place."""
        await self.done.wait()
        if self.error is not None:
            raise self.error
        return self.answer


class Questions:
    """The questions of one node, its own and those that it is asked."""

    def __init__(self, codec: Codec, limits: Limits, complain: Complain) -> None:
        self._codec, self._limits, self._complain = codec, limits, complain
        self._answerers: dict[bytes, Answerer] = {}
        self._waiting: dict[int, Question] = {}
        self._asked: Counter[str] = Counter()
        self._answering: Counter[str] = Counter()
        self._number = 0

    def has(self, name: bytes) -> bool:
        """Whether somebody answers under this name."""
        return name in self._answerers

    def answer(self, name: bytes, handler: Answerer) -> None:
        """Let a handler answer questions to a name."""
        self._answerers[name] = handler

    def begin(self, peer: Peer, name: bytes, data: bytes, seconds: float) -> Question:
        """Send a question. Raises PeerUnreachable if it cannot be sent."""
        if self._asked[peer.boot] >= self._limits.asks:
            raise PeerUnreachable(f"{self._limits.asks} questions to {peer.name} wait for their answers already")
        self._number += 1
        left = max(1, min(_MOST_MILLISECONDS, int(seconds * 1000)))
        if not peer.put(_ASK.pack(ASK, self._number, left, len(name)) + name, data):
            raise PeerUnreachable(f"there is no link to {peer.name} now, or it is full")
        question = Question(self._number, peer)
        self._waiting[question.number] = question
        self._asked[peer.boot] += 1
        return question

    def end(self, question: Question) -> None:
        """Nobody waits for it any more."""
        del self._waiting[question.number]
        self._asked[question.peer.boot] -= 1
        if not self._asked[question.peer.boot]:
            del self._asked[question.peer.boot]

    def abandon(self, peer: Peer, reason: str) -> None:
        """Nobody will answer the questions to a peer: tell those who wait."""
        for question in self._waiting.values():
            if question.peer is peer and not question.done.is_set():
                question.error = PeerUnreachable(f"{peer.name}: {reason}; whether it heard the question is not known")
                question.done.set()

    def heard(self, peer: Peer, message: bytes, nursery: trio.Nursery | None) -> None:
        """A question or an answer of a peer. Raises CodecError for anything else."""
        kind = message[0] if message else 0
        if kind == ASK and len(message) >= _ASK.size:
            if nursery is not None:
                self._hear_question(peer, message, nursery)
        elif kind in (ANSWER, FAILURE) and len(message) >= _ANSWER.size:
            self._hear_answer(peer, kind, message)
        else:
            raise CodecError(f"a message of kind {kind} and {len(message)} bytes")

    def _hear_answer(self, peer: Peer, kind: int, message: bytes) -> None:
        _, number = _ANSWER.unpack_from(message)
        question = self._waiting.get(number)
        if question is None or question.peer.boot != peer.boot or question.done.is_set():
            return
        if kind == FAILURE:
            text = message[_ANSWER.size :].decode(errors="replace")[:_MOST_TEXT]
            question.error = PeerFailed(f"{peer.name}: {text}")
        else:
            try:
                question.answer = self._codec.decode(message, _ANSWER.size)
            except CodecError as error:
                question.error = PeerFailed(f"the answer of {peer.name} cannot be read: {error}")
        question.done.set()

    def _hear_question(self, peer: Peer, message: bytes, nursery: trio.Nursery) -> None:
        _, number, left, size = _ASK.unpack_from(message)
        begin = _ASK.size + size
        handler = self._answerers.get(message[_ASK.size : begin])
        if handler is None:
            self._fail(peer, number, "nobody there answers such questions")
        elif self._answering[peer.boot] >= self._limits.answers:
            self._fail(peer, number, f"it is answering {self._limits.answers} questions already")
        else:
            try:
                question = self._codec.decode(message, begin)
            except CodecError as error:
                self._fail(peer, number, f"the question cannot be read: {error}")
                raise
            self._answering[peer.boot] += 1
            nursery.start_soon(self._answer, peer, number, handler, question, left / 1000)

    async def _answer(self, peer: Peer, number: int, handler: Answerer, question: Any, seconds: float) -> None:
        try:
            with trio.move_on_after(seconds):
                data = self._codec.encode(await handler(peer.boot, question))
                peer.put(_ANSWER.pack(ANSWER, number), data)
        except Exception as error:
            self._fail(peer, number, f"{type(error).__name__}: {error}")
            self._complain(f"answer to {peer.boot}", f"a question of {peer.name} could not be answered", error)
        finally:
            self._answering[peer.boot] -= 1
            if not self._answering[peer.boot]:
                del self._answering[peer.boot]

    def _fail(self, peer: Peer, number: int, reason: str) -> None:
        peer.put(_ANSWER.pack(FAILURE, number), reason[:_MOST_TEXT].encode())
