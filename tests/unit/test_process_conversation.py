"""A conversation with a program: answers in order, an end that is noticed, a wait that is bounded."""

from __future__ import annotations

import time

from lifeboat.model import Command
from lifeboat.process import Conversation

ECHO = Command(("cat",))
FAILING = Command(("sh", "-c", "read x; echo got $x; echo sorry >&2; exit 7"))


def test_conversation_gives_answers_in_order() -> None:
    with Conversation(ECHO) as talk:
        talk.say(b"one\ntwo\nthr")
        assert [talk.line(5), talk.line(5)] == [b"one\n", b"two\n"]
        talk.say(b"ee\n")
        assert talk.line(5) == b"three\n"


def test_conversation_waits_no_longer_than_it_is_told() -> None:
    with Conversation(ECHO) as talk:
        began = time.monotonic()
        assert talk.line(0.2) is None
        assert time.monotonic() - began < 2


def test_conversation_tells_why_the_program_ended() -> None:
    with Conversation(FAILING) as talk:
        talk.say(b"this\n")
        assert talk.line(5) == b"got this\n"
        assert talk.line(5) == b""
        assert talk.ended() == (7, "sorry")


def test_conversation_with_a_program_that_has_gone_is_no_error_until_it_is_read() -> None:
    with Conversation(Command(("true",))) as talk:
        time.sleep(0.1)
        talk.say(b"x" * 100000)
        assert talk.line(5) == b""
        assert talk.ended()[0] == 0
