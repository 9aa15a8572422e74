"""Findings, and when a problem is none."""

from __future__ import annotations

import pytest

from aiotun.linux.finding import KERNEL_HOSTS, PRIVATE_HOST, SYSTEM_HOST, Finding, Host, relieved

LOOK = Finding(id="look", group="here", title="a look")


def test_a_finding_keeps_what_it_is_about() -> None:
    """However it was found, it has the id, the group and the title it began with."""
    found = LOOK.problem("broken", "mend it", SYSTEM_HOST)
    assert (found.id, found.group, found.title) == ("look", "here", "a look")
    assert (found.state, found.detail, found.fix, found.hinders) == ("problem", "broken", "mend it", SYSTEM_HOST)


def test_each_state_has_a_word() -> None:
    """ok, not applicable, warning and problem are all the states there are."""
    found = [LOOK.ok("1"), LOOK.absent("2"), LOOK.warning("3", "fix"), LOOK.problem("4", "fix")]
    assert [one.state for one in found] == ["ok", "not applicable", "warning", "problem"]
    assert [one.fix for one in found] == ["", "", "fix", "fix"]


@pytest.mark.parametrize(
    ("usable", "state"),
    [
        ({"SoftHost"}, "problem"),
        ({"SoftHost", "PrivateHost"}, "warning"),
        ({"SoftHost", "BrokerHost"}, "warning"),
    ],
)
def test_a_host_less_is_a_warning(usable: set[Host], state: str) -> None:
    """What costs a host is no problem while another one on the kernel works."""
    assert relieved(LOOK.problem("", "", SYSTEM_HOST), usable=frozenset(usable)).state == state


def test_what_costs_no_host_stays_a_problem() -> None:
    """A problem of something else is not relieved by hosts that work."""
    assert relieved(LOOK.problem("", ""), usable=frozenset({"SystemHost"})).state == "problem"


def test_a_warning_stays_one() -> None:
    """Only problems are relieved."""
    found = LOOK.warning("", "")
    assert relieved(found, usable=frozenset()) is found


def test_the_kernels_hosts() -> None:
    """They are the two whose devices this process opens itself."""
    assert KERNEL_HOSTS == SYSTEM_HOST | PRIVATE_HOST == {"SystemHost", "PrivateHost"}
