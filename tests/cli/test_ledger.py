"""The ledger: every packet that does not add up shows."""

from __future__ import annotations

from aiotun.cli.ledger import Hop, Ledger, add


def test_passed_waiting_and_dropped_are_accounted_for() -> None:
    """entered = left + waiting + dropped."""
    hop = Hop(what="a to b", entered=10, left=4, waiting=3, dropped={"full": 2, "late": 1})
    assert hop.unaccounted == 0


def test_a_packet_without_a_reason_is_unaccounted() -> None:
    """What entered and is nowhere counts."""
    assert Hop(what="a to b", entered=10, left=9).unaccounted == 1


def test_hops_do_not_make_up_for_each_other() -> None:
    """A packet lost at one hop and one from nowhere at the next are two that do not add up."""
    ledger = Ledger("a to c", (Hop(what="a to b", entered=2, left=1), Hop(what="b to c", entered=1, left=2)))
    assert ledger.unaccounted == 2


def test_a_ledger_sums_its_hops() -> None:
    """Sent and received are the ends; drops and what waits add up in between."""
    hops = (
        Hop(what="a to b", entered=10, left=7, waiting=1, dropped={"full": 2}),
        Hop(what="b to c", entered=7, left=4, dropped={"full": 1, "late": 2}),
    )
    ledger = Ledger("a to c", hops)
    assert (ledger.sent, ledger.received, ledger.waiting) == (10, 4, 1)
    assert ledger.dropped == {"full": 3, "late": 2}


def test_add_leaves_out_zeros() -> None:
    """A reason that never occurred is not listed."""
    assert add([{"full": 0}, {"late": 1}]) == {"late": 1}
