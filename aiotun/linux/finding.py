"""What a check of this machine found."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["KERNEL_HOSTS", "PRIVATE_HOST", "SYSTEM_HOST", "Finding", "Host", "State", "relieved"]

State = Literal["ok", "warning", "problem", "not applicable"]

Host = Literal["SystemHost", "BrokerHost", "PrivateHost", "SoftHost"]

SYSTEM_HOST: frozenset[Host] = frozenset(("SystemHost",))
PRIVATE_HOST: frozenset[Host] = frozenset(("PrivateHost",))
KERNEL_HOSTS = SYSTEM_HOST | PRIVATE_HOST
"""The hosts whose devices this process opens itself."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is looked at, and how it was found."""

    id: str
    """Stays the same from release to release; a program may look for it."""
    group: str
    title: str
    """What is looked at, in a few words."""
    state: State = "ok"
    detail: str = ""
    """How it is."""
    fix: str = ""
    """What to do about it: a command, a setting or an option."""
    hinders: frozenset[Host] = frozenset()
    """The hosts that do not work for this reason."""

    def ok(self, detail: str) -> Finding:
        """Return it as it should be."""
        return attrs.evolve(self, detail=detail)

    def absent(self, detail: str) -> Finding:
        """Return it as one there is nothing to say of here."""
        return attrs.evolve(self, state="not applicable", detail=detail)

    def warning(self, detail: str, fix: str) -> Finding:
        """Return it as something to know of."""
        return attrs.evolve(self, state="warning", detail=detail, fix=fix)

    def problem(self, detail: str, fix: str, hinders: frozenset[Host] = frozenset()) -> Finding:
        """Return it as something that does not work."""
        return attrs.evolve(self, state="problem", detail=detail, fix=fix, hinders=hinders)


def relieved(finding: Finding, *, usable: frozenset[Host]) -> Finding:
    """Return *finding* as a warning, if all it costs is a host, and there is another one on the kernel that works."""
    if finding.state == "problem" and finding.hinders and usable - {"SoftHost"}:
        return attrs.evolve(finding, state="warning")
    return finding
