"""Rules: which of those that are there are the same, and which priority is chosen."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from network import told

from aiotun.linux.rules import add_rules
from aiotun.linux.transaction import Transaction
from aiotun.routing import Rule

pytestmark = pytest.mark.kernel

WHOLE = "priority 9 fwmark 5 table 50"


@pytest.fixture
def transaction() -> Iterator[Transaction]:
    """A transaction; afterwards only the rules that the kernel began with are there."""
    made = Transaction("rule0")
    yield made
    made.end()
    while told("-4", "rule", "show", "priority", "9"):
        subprocess.run("ip rule del priority 9".split(), check=True)


def add(text: str) -> None:
    subprocess.run(["ip", "rule", "add", *text.split()], check=True)


def count() -> int:
    return len(told("-4", "rule"))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(fwmark=5, table=50, version=4),
        Rule(fwmark=5, table=50, priority=9, version=4),
        Rule(fwmark=5, table=50, source="0.0.0.0/0"),
    ],
)
def test_the_same_rule(transaction: Transaction, rule: Rule) -> None:
    """A rule that says the same, of any priority if none is asked for, is the rule."""
    add(WHOLE)
    before = count()
    add_rules(transaction, [rule])
    assert count() == before


@pytest.mark.parametrize(
    "more",
    [
        "not",
        "tos 8",
        "iif lo",
        "oif lo",
        "ipproto udp",
        "dport 53",
        "uidrange 0-0",
        "from 10.0.0.0/8",
        "suppress_ifgroup 3",
    ],
)
def test_another_rule(transaction: Transaction, more: str) -> None:
    """A rule that looks at more, or the other way round, is another one."""
    add(f"{more} {WHOLE}" if more == "not" else f"{WHOLE} {more}")
    before = count()
    add_rules(transaction, [Rule(fwmark=5, table=50, version=4)])
    assert count() == before + 1
    transaction.end()
    assert count() == before


@pytest.mark.parametrize("action", ["blackhole", "unreachable", "goto 32766"])
def test_a_rule_that_does_something_else(transaction: Transaction, action: str) -> None:
    """A rule with another action is another one."""
    add(f"priority 9 fwmark 5 {action}")
    before = count()
    add_rules(transaction, [Rule(fwmark=5, version=4)])
    assert count() == before + 1


def test_the_priority_before_all_others(transaction: Transaction) -> None:
    """The priority chosen is the one before the second rule's, as the kernel does it."""
    add(WHOLE)
    add_rules(transaction, [Rule(fwmark=6, table=60, version=4), Rule(fwmark=7, table=70, version=4)])
    assert [one["priority"] for one in told("-4", "rule")][:4] == [0, 7, 8, 9]


def test_a_rule_that_is_there_too_late(transaction: Transaction) -> None:
    """A rule that is there, but tried after the one before it in the list, is not the one asked for."""
    add(WHOLE)
    add_rules(transaction, [Rule(fwmark=6, table=60, version=4), Rule(fwmark=5, table=50, version=4)])
    marks = [(one["priority"], one.get("fwmark")) for one in told("-4", "rule")]
    assert marks[1:4] == [(7, "0x5"), (8, "0x6"), (9, "0x5")]


def test_rules_that_are_there_in_order(transaction: Transaction) -> None:
    """Rules that are there in the order asked for, with others between them, are the rules."""
    wanted = [Rule(fwmark=mark, table=50, version=4) for mark in (5, 6)]
    add_rules(transaction, [wanted[0], Rule(fwmark=7, table=50, version=4), wanted[1]])
    before = count()
    add_rules(transaction, wanted)
    assert count() == before
