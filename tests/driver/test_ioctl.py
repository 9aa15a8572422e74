"""Requests by number: values as they are, structures as C has them, and what is refused."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest

from aiotun.driver import Flags, Request, TunInfo
from aiotun.errors import DeviceError, DeviceGone

from .fakes import Make, both, open_tap, open_tun, unit

COMMON = ["FIONREAD", "FIOASYNC", "FIOSETOWN", "FIOGETOWN", "TIOCSPGRP", "TIOCGPGRP", "SIOCSIFADDR", "SIOCSIFFLAGS",
          "SIOCGIFFLAGS", "SIOCSIFMTU", "SIOCGIFMTU", "SIOCADDMULTI", "SIOCDELMULTI"]  # fmt: skip
TUN = ["TUNGDEBUG", "TUNSDEBUG", "TUNSIFINFO", "TUNGIFINFO", "TUNSLMODE", "TUNSIFMODE", "TUNSIFPID", "TUNSIFHEAD",
       "TUNGIFHEAD", "SIOCSIFDSTADDR", "SIOCGIFSTATUS"]  # fmt: skip
TAP = ["FIONBIO", "TAPGIFNAME", "SIOCSIFMEDIA", "SIOCGIFMEDIA", "SIOCSIFPHYADDR"]


@pytest.mark.parametrize(("make", "own"), [(open_tun, TUN), (open_tap, TAP)])
def test_the_requests(make: Make, own: list[str]) -> None:
    """Each driver has the requests that both have, and its own; every one is a method."""
    device = make()
    tables: dict[int, str] = {**device.getters, **device.setters}  # type: ignore[attr-defined]
    assert {Request(number).name for number in tables} == {*COMMON, *own}
    assert all(callable(getattr(device, method)) for method in tables.values())


@both
@pytest.mark.parametrize(
    ("request_", "name"), [(Request.SIOCGIFMTU + 0x100, "0x"), (0x20007463, "0x20007463"), (0x1234, "0x00001234")]
)
def test_an_unknown_number(make: Make, request_: int, name: str) -> None:
    """A number that is no request at all is named in hexadecimal, ENOTTY."""
    with pytest.raises(DeviceError, match=f"dev0: no request {name}") as caught:
        make().ioctl(request_)  # type: ignore[attr-defined]
    assert caught.value.errno == errno.ENOTTY


@pytest.mark.parametrize(("make", "code"), [(open_tun, errno.EINVAL), (open_tap, errno.ENOTTY)])
def test_an_unknown_number_of_the_interface(make: Make, code: int) -> None:
    """A request of the interface's group that the driver has not is what the driver answers."""
    with pytest.raises(DeviceError, match="dev0: no request 0x80206901") as caught:
        make().ioctl(0x80206901)  # type: ignore[attr-defined]
    assert caught.value.errno == code


@pytest.mark.parametrize(
    ("make", "request_"), [(open_tun, Request.TAPGIFNAME), (open_tap, Request.TUNGIFHEAD)], ids=["tun", "tap"]
)
def test_a_request_of_the_other_driver(make: Make, request_: Request) -> None:
    """A request that the other driver has is named, ENOTTY."""
    with pytest.raises(DeviceError, match=f"dev0: no request {request_.name}") as caught:
        make().ioctl(request_)  # type: ignore[attr-defined]
    assert caught.value.errno == errno.ENOTTY


@both
@pytest.mark.parametrize("request_", [Request.FIONREAD, 0x1234])
def test_a_destroyed_device(make: Make, request_: int) -> None:
    """A destroyed device answers no request, known or not: DeviceGone."""
    device = make()
    device.destroy()
    with pytest.raises(DeviceGone):
        device.ioctl(request_)  # type: ignore[attr-defined]


@both
@pytest.mark.parametrize(
    ("request_", "argument", "kind"),
    [
        (Request.FIOASYNC, "1", TypeError),
        (Request.FIOASYNC, None, TypeError),
        (Request.FIONREAD, 1, TypeError),
        (Request.FIOASYNC, bytes(3), ValueError),
        (Request.SIOCSIFADDR, TunInfo(), TypeError),
    ],
)
def test_a_wrong_argument(make: Make, request_: Request, argument: Any, kind: type[Exception]) -> None:
    """An argument that is not the request's is refused."""
    with pytest.raises(kind, match=request_.name):
        make().ioctl(request_, argument)  # type: ignore[attr-defined]


@both
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer(make: Make, kind: Any) -> None:
    """A structure may come in any buffer; it is answered in bytes, which a setter gives back as they were."""
    device: Any = make()
    device.output([unit(make)])
    size = struct.pack("=i", len(unit(make)))
    assert device.ioctl(Request.FIONREAD, kind(bytes(4))) == size
    answer = device.ioctl(Request.FIOASYNC, kind(struct.pack("=i", 1)))
    assert (type(answer), answer, device.asynchronous) == (bytes, struct.pack("=i", 1), True)


@both
def test_values(make: Make) -> None:
    """A value is answered with a value, and a setter with nothing."""
    device: Any = make()
    assert (device.ioctl(Request.FIONREAD), device.ioctl(Request.FIOASYNC, 1)) == (0, None)


@both
def test_the_name_is_in_the_structure(make: Make) -> None:
    """A structure that has the interface's name gets it."""
    device: Any = make()
    assert device.ioctl(Request.SIOCGIFMTU, bytes(32)) == b"dev0".ljust(16, b"\0") + struct.pack("=i12x", 1500)


@both
def test_async(make: Make) -> None:
    """set_async() takes a truth value."""
    device: Any = make()
    states = []
    for on in (2, 0):
        device.set_async(on)
        states.append(device.asynchronous)
    assert states == [True, False]


@both
def test_owner(make: Make) -> None:
    """A process owns the signal, or a group; each request says it with its own sign."""
    device: Any = make()
    device.set_owner(os.getpid())
    process = device.owner(), device.process_group()
    device.set_process_group(os.getpgrp())
    group = device.owner(), device.process_group()
    assert (process, group) == ((os.getpid(), -os.getpid()), (-os.getpgrp(), os.getpgrp()))


@both
def test_flags(make: Make) -> None:
    """UP in the flags brings up and its absence down; the driver's own flags stay."""
    device: Any = make(up=False)
    own = device.get_flags()
    device.set_flags(int(Flags.UP | Flags.OACTIVE))
    up = device.get_flags()
    device.set_flags(int(Flags.RUNNING))
    assert (up, device.get_flags()) == (own | Flags.UP | Flags.RUNNING, own)
    assert type(own) is int


@both
def test_mtu(make: Make) -> None:
    """The mtu is told and set; below 72 it is EINVAL and stays."""
    device: Any = make()
    device.change_mtu(72)
    with pytest.raises(DeviceError, match="dev0: mtu 71 is below 72, the least there is") as caught:
        device.change_mtu(71)
    assert (caught.value.errno, caught.value.__cause__, device.get_mtu()) == (errno.EINVAL, None, 72)
