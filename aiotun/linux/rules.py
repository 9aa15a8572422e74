"""Rules of policy routing: added where they are not there, and removed again."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, Literal

import attrs

from ..routing import Rule
from .messages import ADD, DUMP, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, decode, encode
from .transaction import Transaction

__all__ = ["add_rules"]

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

# Linux include/uapi/linux/fib_rules.h and rtnetlink.h
FR_ACT_TO_TBL = 1
FIB_RULE_INVERT = 2
NO_PREFIXLEN = 0xFFFFFFFF
RT_TABLE_COMPAT = 252
RTPROT_STATIC = 4

# What a rule of somebody else's may also look at; one that does is none of ours.
FOREIGN = (
    "FRA_GOTO",
    "FRA_FLOW",
    "FRA_TUN_ID",
    "FRA_SUPPRESS_IFGROUP",
    "FRA_IP_PROTO",
    "FRA_SPORT_RANGE",
    "FRA_DPORT_RANGE",
)
UNSET = (None, 0, 0xFFFFFFFF)

NO_PRIORITY = 2**32
"""Above every priority."""


def add_rules(transaction: Transaction, rules: Sequence[Rule]) -> None:
    """Add the rules that are not there, in order: each is tried before the one that was added before it."""
    last: dict[int | None, int] = {}  # by IP version: the priority of the one before
    for rule in rules:
        for version in rule.versions:
            placed = _add(transaction, _resolved(rule, version, transaction.name), last.get(version, NO_PRIORITY))
            if rule.priority is None:
                last[version] = placed


def _resolved(rule: Rule, version: Literal[4, 6], name: str) -> Rule:
    """Return the rule as the kernel will tell it: of one IP version, with names, without prefixes that fit all."""
    return attrs.evolve(
        rule,
        version=version,
        iif=rule.iif and rule.iif.replace("{name}", name),
        oif=rule.oif and rule.oif.replace("{name}", name),
        source=rule.source if rule.source and rule.source.prefixlen else None,
        destination=rule.destination if rule.destination and rule.destination.prefixlen else None,
    )


def _add(transaction: Transaction, rule: Rule, last: int) -> int:
    """Add a rule unless it is there, tried before that of priority *last* if it asks for none; return its priority."""
    told = [decode(one) for one in transaction.ask(encode(RTM_GETRULE, DUMP, {"family": _family(rule)}))]
    there = next((known for known in map(_rule, told) if known is not None and _fits(rule, known, last)), None)
    if there is None and rule.priority is None:
        rule = attrs.evolve(rule, priority=_free(told))
    what, undo = f"rule {rule}", {"send": [_message(RTM_DELRULE, there or rule).hex()]}
    if there is not None:
        transaction.found(what, undo)
    else:
        transaction.change(what, _message(RTM_NEWRULE, rule, ADD), undo)
    return (there or rule).priority or 0


def _fits(rule: Rule, known: Rule, last: int) -> bool:
    if rule.priority is not None:
        return rule == known
    return (known.priority or 0) < last and rule == attrs.evolve(known, priority=None)


def _free(told: Sequence[Any]) -> int:
    """Return the priority the kernel would choose, which must be known before: fib_default_rule_pref()."""
    priorities: list[int] = [one.get_attr("FRA_PRIORITY") or 0 for one in told]
    return priorities[1] - 1 if len(priorities) > 1 and priorities[1] else 0


def _message(kind: int, rule: Rule, flags: int = 0) -> bytes:
    return encode(
        kind,
        flags,
        {
            "family": _family(rule),
            "src_len": rule.source.prefixlen if rule.source else 0,
            "dst_len": rule.destination.prefixlen if rule.destination else 0,
            "table": rule.table if rule.table < 256 else RT_TABLE_COMPAT,
            "action": FR_ACT_TO_TBL,
            "flags": FIB_RULE_INVERT if rule.invert else 0,
        },
        [
            ("FRA_PRIORITY", rule.priority),
            ("FRA_SRC", rule.source and str(rule.source.network_address)),
            ("FRA_DST", rule.destination and str(rule.destination.network_address)),
            ("FRA_IIFNAME", rule.iif),
            ("FRA_OIFNAME", rule.oif),
            ("FRA_FWMARK", rule.fwmark),
            ("FRA_FWMASK", rule.mask if rule.fwmark is not None else None),
            ("FRA_TABLE", rule.table),
            ("FRA_SUPPRESS_PREFIXLEN", rule.suppress_prefixlength),
            ("FRA_UID_RANGE", None if rule.uids is None else f"{rule.uids[0]}:{rule.uids[1]}"),
            ("FRA_PROTOCOL", RTPROT_STATIC if kind == RTM_NEWRULE else None),
        ],
    )


def _rule(told: Any) -> Rule | None:
    """Return a rule that the kernel told; None if it does what ours cannot."""
    if told["action"] != FR_ACT_TO_TBL or told["tos"] or any(told.get_attr(name) not in UNSET for name in FOREIGN):
        return None
    uids = told.get_attr("FRA_UID_RANGE")
    mark = told.get_attr("FRA_FWMARK")
    mask = told.get_attr("FRA_FWMASK")
    suppressed = told.get_attr("FRA_SUPPRESS_PREFIXLEN")
    first, last = map(int, uids.split(":")) if uids else (0, 0)
    source, destination = told.get_attr("FRA_SRC"), told.get_attr("FRA_DST")
    return Rule(
        table=told.get_attr("FRA_TABLE"),
        priority=told.get_attr("FRA_PRIORITY") or 0,
        fwmark=mark if mark or mask else None,
        mask=mask or NO_PREFIXLEN,
        source=ip_network((source, told["src_len"])) if source else None,
        destination=ip_network((destination, told["dst_len"])) if destination else None,
        iif=told.get_attr("FRA_IIFNAME"),
        oif=told.get_attr("FRA_OIFNAME"),
        uids=(first, last) if uids else None,
        invert=bool(told["flags"] & FIB_RULE_INVERT),
        suppress_prefixlength=None if suppressed == NO_PREFIXLEN else suppressed,
        version=4 if told["family"] == socket.AF_INET else 6,
    )


def _family(rule: Rule) -> int:
    return FAMILIES[rule.version or 4]
