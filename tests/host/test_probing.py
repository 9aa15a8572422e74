"""Asking what this machine's kernel can do."""

from __future__ import annotations

import sys

import pytest

import aiotun


async def test_without_linux_there_is_nothing_to_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system it is a DeviceError that says so."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(aiotun.DeviceError, match="not on darwin"):
        await aiotun.probe()


@pytest.mark.kernel
async def test_the_kernel_is_probed() -> None:
    """Every kernel in use finishes checksums; nothing was asked of it, and nothing granted."""
    found = await aiotun.probe()
    assert "TUN_F_CSUM" in found.probed
    assert (found.asked, found.granted) == (frozenset(), frozenset())
