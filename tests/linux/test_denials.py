"""What a refused opening of a device means: most of it in tests/kernel, here what a kernel does not give on demand."""

from __future__ import annotations

import errno
import os

import pytest

from aiotun import DeviceBusy, DeviceError
from aiotun.linux.constants import IFF_MULTI_QUEUE, IFF_NAPI_FRAGS
from aiotun.linux.denials import explain_attach, explain_open, too_many_queues
from aiotun.linux.origin import HERE


def refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def test_frags_have_a_remedy_of_their_own() -> None:
    """EPERM with IFF_NAPI_FRAGS is about the machine's namespace, whatever rights there are in the device's."""
    with pytest.raises(PermissionError, match="tap0: .*napi_frags takes CAP_NET_ADMIN in the machine's own user"):
        explain_attach(refusal(errno.EPERM), "tap", "tap0", IFF_NAPI_FRAGS, HERE)


def test_a_template_is_named_in_the_remedy() -> None:
    """The command in the remedy can be typed as it stands, for ``tap%d`` too."""
    with pytest.raises(PermissionError, match="ip tuntap add dev tap0 mode tap user"):
        explain_attach(refusal(errno.EPERM), "tap", "tap%d", 0, HERE)


def test_too_many() -> None:
    """E2BIG has both numbers."""
    with pytest.raises(DeviceError, match="tun0: cannot have 257 queues, 256 is the most") as caught:
        explain_attach(refusal(errno.E2BIG), "tun", "tun0", IFF_MULTI_QUEUE, HERE)
    assert caught.value.errno == too_many_queues("tun0", 300).errno == errno.E2BIG


def test_a_holder_out_of_sight() -> None:
    """EBUSY of a device whose holder cannot be seen says so."""
    with pytest.raises(DeviceBusy, match="nosuch9: held by a process this user may not look into"):
        explain_attach(refusal(errno.EBUSY), "tun", "nosuch9", 0, HERE)


@pytest.mark.parametrize("explain", [lambda error: explain_attach(error, "tun", "tun0", 0, HERE)])
def test_another_errno_is_kept(explain: object) -> None:
    """An errno nobody expects is a DeviceError that keeps it."""
    with pytest.raises(DeviceError, match="tun0: cannot open this tun") as caught:
        explain(refusal(errno.EFAULT))  # type: ignore[operator]
    assert caught.value.errno == errno.EFAULT


def test_another_errno_of_open_is_raised_as_it_is() -> None:
    """What is not the clone device's own to refuse, such as EMFILE, stays what it was."""
    with pytest.raises(OSError) as caught:
        explain_open(refusal(errno.EMFILE))
    assert caught.value.errno == errno.EMFILE
