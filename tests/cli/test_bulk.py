"""The bulk transfer: everything arrives once and in order, whatever the network does to packets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.cli.bulk import NUMBER_SIZE, BulkReceiver, BulkSender

HEAD = b"head"
WINDOW = 16


def pair() -> tuple[BulkSender, BulkReceiver]:
    return BulkSender(HEAD, 10, WINDOW), BulkReceiver(len(HEAD), WINDOW)


def test_the_window_bounds_what_is_on_its_way() -> None:
    """Without an answer no more than a window is sent."""
    sender, _ = pair()
    assert [len(sender.fill(0.0, 10)), len(sender.fill(0.0, 10)), len(sender.fill(0.0, 10))] == [10, 6, 0]


def test_an_answer_opens_the_window() -> None:
    """As many packets as were answered may follow."""
    sender, receiver = pair()
    receiver.take(sender.fill(0.0, WINDOW)[:5])
    sender.answer(receiver.answer(), 0.0)
    assert len(sender.fill(0.0, WINDOW)) == 5


def test_both_ends_digest_the_same_content() -> None:
    """In order and without loss, content and digest agree."""
    sender, receiver = pair()
    receiver.take(sender.fill(0.0, WINDOW))
    sender.answer(receiver.answer(), 0.0)
    assert (receiver.digest, receiver.content, sender.unanswered) == (sender.digest, 160, 0)


def test_a_changed_chunk_changes_the_digest() -> None:
    """One flipped bit shows in the end."""
    sender, receiver = pair()
    packets = sender.fill(0.0, WINDOW)
    packets[3] = packets[3][:-1] + bytes([packets[3][-1] ^ 1])
    receiver.take(packets)
    assert receiver.digest != sender.digest


def test_what_three_have_overtaken_is_sent_again_at_once() -> None:
    """A hole with three packets behind it is lost: it is sent again, once."""
    sender, receiver = pair()
    packets = sender.fill(0.0, 6)
    receiver.take(packets[:2] + packets[3:])
    assert sender.answer(receiver.answer(), 0.0) == [packets[2]]
    assert sender.answer(receiver.answer(), 0.0) == []


def test_what_two_have_overtaken_may_still_come() -> None:
    """Two packets out of order are no loss yet."""
    sender, receiver = pair()
    packets = sender.fill(0.0, 4)
    receiver.take(packets[:1] + packets[2:])
    assert sender.answer(receiver.answer(), 0.0) == []


def test_overdue_packets_are_sent_again() -> None:
    """With no answer in time, everything unanswered is sent again; then later, and later."""
    sender, _ = pair()
    packets = sender.fill(0.0, 3)
    assert sender.overdue(0.1) == []
    assert sender.overdue(0.2) == packets
    assert sender.overdue(0.5) == []
    assert sender.overdue(0.7) == packets


def test_nothing_is_due_once_all_is_answered() -> None:
    """A sender without packets on their way has no deadline."""
    sender, receiver = pair()
    receiver.take(sender.fill(0.0, 3))
    sender.answer(receiver.answer(), 0.1)
    assert (sender.due, sender.overdue(9.0)) == (None, [])


def test_duplicates_count_once() -> None:
    """A packet that comes again, early or late, adds nothing."""
    sender, receiver = pair()
    packets = sender.fill(0.0, 3)
    receiver.take([packets[0], packets[0], packets[2], packets[2], packets[1]])
    assert (receiver.received, receiver.repeated, receiver.digest) == (3, 2, sender.digest)


@pytest.mark.parametrize("payload", [b"", b"1234567", (99).to_bytes(NUMBER_SIZE, "big")])
def test_nonsense_answers_are_ignored(payload: bytes) -> None:
    """An answer that is short, or about packets never sent, changes nothing."""
    sender, _ = pair()
    sender.fill(0.0, 3)
    assert (sender.answer(payload, 0.0), sender.unanswered) == ([], 3)


@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.6), count=st.integers(1, 100))
def test_everything_arrives_over_any_network(seed: int, loss: float, count: int) -> None:
    """Packets and answers lost, doubled and shuffled at random: in the end both ends agree."""
    network = random.Random(seed)
    sender, receiver = pair()
    now, sent = 0.0, 0
    while sent < count or sender.unanswered:
        now += 0.05
        packets = sender.fill(now, min(network.randrange(1, 9), count - sent)) if sent < count else []
        sent += len(packets)
        for packet in packets + sender.overdue(now):
            answers = _arrive(network, loss, receiver, [packet] * network.choice((1, 1, 2)))
            for answer in answers:
                _arrive(network, loss, receiver, sender.answer(answer, now))
    assert (receiver.received, receiver.digest) == (count, sender.digest)


def _arrive(network: random.Random, loss: float, receiver: BulkReceiver, packets: list[bytes]) -> list[bytes]:
    """Let some of the packets arrive; return the answers that make it back."""
    network.shuffle(packets)
    receiver.take(packet for packet in packets if network.random() >= loss)
    return [receiver.answer()] if network.random() >= loss else []
