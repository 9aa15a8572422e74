"""What this machine's kernel can do for a device, tried before one is opened."""

from __future__ import annotations

from ..endpoint import Capabilities
from .system import check_platform

__all__ = ["probe"]


async def probe() -> Capabilities:
    """
    Find out what the kernel's driver does: ``probed``, and in ``off`` what it refuses and why.

    Tries it on scratch devices in a private network, once a process: some 0.2 s the first time, off the event loop;
    a cancel is raised once it is done. Endpoints opened afterwards have it in their ``capabilities``.

    Raises:
        PermissionError, DeviceError: If this user can have no device at all; the text names the remedy.
    """
    check_platform()
    from ..linux.probing import probe_kernel

    return await probe_kernel()
