"""One descriptor of a device; most of it in tests/kernel, here what a kernel does not do on demand."""

from __future__ import annotations

import socket
import subprocess

import pytest

from aiotun import DeviceGone
from aiotun.linux import Terms
from aiotun.linux.tunopen import another_queue, open_device
from aiotun.linux.worker import run_in_thread

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("change", [["set", "race0", "name", "race1"], ["del", "race0"]], ids=["renamed", "deleted"])
def test_a_device_that_goes_while_its_queues_are_opened(change: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue opened by a name that the device no longer has is one of a new device: it is closed, and that is said."""
    first = run_in_thread(lambda: open_device("tun", "race0", terms=Terms(queues=2)))
    try:
        subprocess.run(["ip", "link", *change], check=True)
        monkeypatch.setattr(first, "interface", lambda: ("race0", 0))  # as it was a moment ago
        with pytest.raises(DeviceGone, match="race0: was deleted or renamed while its queues were opened"):
            another_queue(first, "tun")
        with pytest.raises(OSError):
            socket.if_nametoindex("race0")
    finally:
        first.close()
