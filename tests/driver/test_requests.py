"""ioctl requests: their numbers, and the structures they carry, read and written."""

from __future__ import annotations

import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.driver.families import Family, SockAddr
from aiotun.driver.media import MediaStatus
from aiotun.driver.requests import Request, TunInfo, decode, encode
from aiotun.errors import UnsupportedFamily

# What the BSDs' compilers make of the macros on a 64-bit machine.
NUMBERS = {
    "TUNGDEBUG": 0x40047459, "TUNSDEBUG": 0x8004745A, "TUNSIFINFO": 0x8008745B, "TUNGIFINFO": 0x4008745C,
    "TUNSLMODE": 0x8004745D, "TUNSIFMODE": 0x8004745E, "TUNSIFPID": 0x2000745F, "TUNSIFHEAD": 0x80047460,
    "TUNGIFHEAD": 0x40047461, "TAPGIFNAME": 0x40906500, "FIOGETOWN": 0x4004667B, "FIOSETOWN": 0x8004667C,
    "FIOASYNC": 0x8004667D, "FIONBIO": 0x8004667E, "FIONREAD": 0x4004667F, "TIOCSPGRP": 0x80047476,
    "TIOCGPGRP": 0x40047477, "SIOCSIFADDR": 0x8020690C, "SIOCSIFDSTADDR": 0x8020690E, "SIOCSIFFLAGS": 0x80206910,
    "SIOCGIFFLAGS": 0xC0206911, "SIOCADDMULTI": 0x80206931, "SIOCDELMULTI": 0x80206932, "SIOCGIFMTU": 0xC0206933,
    "SIOCSIFMTU": 0x80206934, "SIOCGIFSTATUS": 0xC331693B, "SIOCSIFMEDIA": 0xC0906935, "SIOCGIFMEDIA": 0xC0306936,
    "SIOCSIFPHYADDR": 0x80406946,
}  # fmt: skip

ADDRESS = SockAddr(Family.INET, "10.8.0.2")
MAC = SockAddr(Family.LINK, "f2:0b:a4:00:00:01")
NAME = b"tun0".ljust(16, b"\0")
MEDIA = MediaStatus(current=0x20, active=0x30, status=3, supported=(0x20, 0x30))

# A value for each request, and its structure for an interface called tun0, in C's own layout.
STRUCTURES: dict[Request, tuple[Any, bytes]] = {
    Request.TUNSIFINFO: (TunInfo(115200, 1400, 23), struct.pack("iHBB", 115200, 1400, 23, 0)),
    Request.TUNGIFINFO: (TunInfo(0, 65535, 255), struct.pack("iHBB", 0, 65535, 255, 0)),
    Request.TUNSIFPID: (None, b""),
    Request.TAPGIFNAME: ("tap12", b"tap12".ljust(144, b"\0")),
    Request.SIOCSIFADDR: (ADDRESS, NAME + ADDRESS.pack()),
    Request.SIOCSIFDSTADDR: (ADDRESS, NAME + ADDRESS.pack()),
    Request.SIOCADDMULTI: (MAC, NAME + MAC.pack()),
    Request.SIOCDELMULTI: (MAC, NAME + MAC.pack()),
    Request.SIOCSIFPHYADDR: (MAC, NAME + MAC.pack() + bytes(32)),
    Request.SIOCSIFFLAGS: (0x28043, NAME + struct.pack("HH", 0x8043, 2) + bytes(12)),
    Request.SIOCGIFFLAGS: (0x28043, NAME + struct.pack("HH", 0x8043, 2) + bytes(12)),
    Request.SIOCSIFMTU: (1400, NAME + struct.pack("i", 1400) + bytes(12)),
    Request.SIOCGIFMTU: (-1, NAME + struct.pack("i", -1) + bytes(12)),
    Request.SIOCSIFMEDIA: (0x100030, NAME + struct.pack("i", 0x100030) + bytes(124)),
    Request.SIOCGIFMEDIA: (MEDIA, NAME + struct.pack("iiiiiP", 0x20, 0, 3, 0x30, 2, 0)),
    Request.SIOCGIFSTATUS: ("\tOpened by PID 7\n", NAME + b"\tOpened by PID 7\n".ljust(801, b"\0")),
}
NUMBER_REQUESTS = [request for request in Request if request not in STRUCTURES]
STRUCTURES |= {request: (-2, struct.pack("i", -2)) for request in NUMBER_REQUESTS}

every_structure = pytest.mark.parametrize(
    ("request_", "value", "octets"),
    [(request, *structure) for request, structure in STRUCTURES.items()],
    ids=[request.name for request in STRUCTURES],
)
every_request = pytest.mark.parametrize("request_", Request, ids=lambda request: request.name)


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_a_request_has_its_number(name: str, number: int) -> None:
    """A request has the number that the BSDs give it."""
    assert Request[name] == number


def test_every_request_is_in_the_table() -> None:
    """The table above has every request."""
    assert [request.name for request in Request] == list(NUMBERS)


@pytest.mark.parametrize(
    ("request_", "size", "takes", "gives"),
    [
        (Request.TUNSIFPID, 0, False, False),
        (Request.FIONREAD, 4, False, True),
        (Request.TUNSIFINFO, 8, True, False),
        (Request.SIOCGIFSTATUS, 817, True, True),
    ],
)
def test_what_the_number_says(request_: Request, size: int, takes: bool, gives: bool) -> None:
    """The number says how many bytes are carried, and in which directions."""
    assert (request_.size, request_.takes, request_.gives) == (size, takes, gives)


def test_the_usual_tun() -> None:
    """Unless one says otherwise a tun is PPP, with 1500 bytes and no speed."""
    assert TunInfo() == TunInfo(baudrate=0, mtu=1500, type=23)


# --- structures -----------------------------------------------------------------------------------


@every_structure
def test_encode(request_: Request, value: Any, octets: bytes) -> None:
    """A value is packed as C lays it out, with the interface's name where it belongs."""
    assert encode(request_, value, "tun0") == octets


@every_structure
def test_decode(request_: Request, value: Any, octets: bytes) -> None:
    """A structure is read as its value; one that only gives something out is not read."""
    if request_ is Request.SIOCGIFMEDIA:  # the words are behind a pointer
        value = MediaStatus(current=value.current, active=value.active, status=value.status)
    assert decode(request_, octets) == (value if request_.takes else None)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers(kind: Any) -> None:
    """A structure may be in any buffer."""
    assert decode(Request.FIONBIO, kind(struct.pack("i", 1))) == 1


@every_request
@pytest.mark.parametrize("off", [-1, 1])
def test_a_structure_of_the_wrong_size(request_: Request, off: int) -> None:
    """A structure of one byte too few or too many is refused, with both numbers."""
    size = request_.size + off
    if size < 0:
        return
    text = f"^{request_.name}: structure is {size} bytes, it must be {request_.size}$"
    with pytest.raises(ValueError, match=text):
        decode(request_, bytes(size))


def test_without_a_name() -> None:
    """The interface's name may be left out."""
    assert encode(Request.SIOCSIFMTU, 1400)[:16] == bytes(16)


def test_the_longest_name() -> None:
    """A name has at most 15 bytes."""
    assert encode(Request.SIOCSIFMTU, 1400, "x" * 15)[:16] == b"x" * 15 + b"\0"
    assert encode(Request.TAPGIFNAME, "x" * 15)[:16] == b"x" * 15 + b"\0"
    for request, value, name in ((Request.SIOCSIFMTU, 1400, "x" * 16), (Request.TAPGIFNAME, "x" * 16, "")):
        with pytest.raises(ValueError, match=f"^{'x' * 16}: name is 16 bytes, at most 15 fit$"):
            encode(request, value, name)


def test_the_longest_status() -> None:
    """A status has at most 800 bytes, and a zero after them."""
    assert encode(Request.SIOCGIFSTATUS, "x" * 800)[-2:] == b"x\0"
    with pytest.raises(ValueError, match="takes 801 bytes, its structure has room for 800$"):
        encode(Request.SIOCGIFSTATUS, "x" * 801)


@pytest.mark.parametrize("request_", [Request.SIOCSIFADDR, Request.SIOCSIFPHYADDR])
def test_an_address_that_does_not_fit(request_: Request) -> None:
    """An IPv6 address does not fit the structure, as on the BSDs; as a value it is taken."""
    address = SockAddr(Family.INET6, "fd00::1")
    with pytest.raises(
        ValueError, match=f"^{request_.name}: SockAddr.* takes 28 bytes, its structure has room for 16$"
    ):
        encode(request_, address)
    assert decode(request_, address) is address


@pytest.mark.parametrize(
    ("request_", "value"),
    [
        (Request.FIOSETOWN, 2**31),
        (Request.FIOSETOWN, -(2**31) - 1),
        (Request.SIOCSIFMTU, 2**31),
        (Request.SIOCSIFFLAGS, 2**32),
        (Request.SIOCSIFFLAGS, -1),
        (Request.TUNSIFINFO, TunInfo(mtu=65536)),
        (Request.TUNSIFINFO, TunInfo(type=256)),
        (Request.SIOCGIFMEDIA, MediaStatus(current=2**31, active=0)),
    ],
)
def test_a_number_that_does_not_fit(request_: Request, value: Any) -> None:
    """A number that C has no room for is refused."""
    with pytest.raises(ValueError) as error:
        encode(request_, value)
    assert str(error.value) == f"{request_.name}: {value} does not fit its structure"


@pytest.mark.parametrize("flags", [0, 0xFFFF, 0x10000, 0xFFFFFFFF])
def test_flags_have_two_halves(flags: int) -> None:
    """Flags are 32 bits, the low half first."""
    octets = encode(Request.SIOCSIFFLAGS, flags)
    assert struct.unpack_from("HH", octets, 16) == (flags & 0xFFFF, flags >> 16)
    assert decode(Request.SIOCSIFFLAGS, octets) == flags


def test_an_address_of_an_unknown_family() -> None:
    """An address of a family we have not is EAFNOSUPPORT."""
    with pytest.raises(UnsupportedFamily):
        decode(Request.SIOCSIFPHYADDR, bytes(16) + b"\x10\x63" + bytes(46))


def test_a_status_that_is_no_text() -> None:
    """Bytes that are no text do not keep a status from being read."""
    assert decode(Request.SIOCGIFSTATUS, bytes(16) + b"\xff".ljust(801, b"\0")) == "\N{REPLACEMENT CHARACTER}"


# --- values ---------------------------------------------------------------------------------------


@every_structure
def test_a_value_is_itself(request_: Request, value: Any, octets: bytes) -> None:
    """A request that takes something in takes it as a value."""
    if request_.takes:
        assert decode(request_, value) is value


@every_request
def test_no_argument(request_: Request) -> None:
    """A request that gives something out needs no argument, nor one that carries nothing; the others do."""
    if request_.takes and not request_.gives:
        with pytest.raises(TypeError, match=f"^{request_.name}: argument is NoneType, it must be [A-Za-z]+ or bytes$"):
            decode(request_)
    else:
        assert decode(request_) is None


@pytest.mark.parametrize(
    ("request_", "argument", "text"),
    [
        (Request.FIONREAD, 0, "FIONREAD: argument is int, it must be None or bytes"),
        (Request.TUNSIFPID, 7, "TUNSIFPID: argument is int, it must be None or bytes"),
        (Request.FIOASYNC, "1", "FIOASYNC: argument is str, it must be int or bytes"),
        (Request.SIOCSIFADDR, "10.8.0.2", "SIOCSIFADDR: argument is str, it must be SockAddr or bytes"),
        (Request.SIOCGIFMTU, "1400", "SIOCGIFMTU: argument is str, it must be int or bytes"),
    ],
)
def test_a_value_of_another_type(request_: Request, argument: Any, text: str) -> None:
    """A value of another type than the request's is refused."""
    with pytest.raises(TypeError) as error:
        decode(request_, argument)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("request_", "value", "text"),
    [
        (Request.FIONREAD, None, "FIONREAD: value is NoneType, it must be int"),
        (Request.TUNSIFPID, 7, "TUNSIFPID: value is int, it must be None"),
        (Request.TUNGIFINFO, 7, "TUNGIFINFO: value is int, it must be TunInfo"),
    ],
)
def test_packing_another_type(request_: Request, value: Any, text: str) -> None:
    """A value of another type than the structure's is not packed."""
    with pytest.raises(TypeError) as error:
        encode(request_, value)
    assert str(error.value) == text


@given(st.builds(TunInfo, st.integers(-(2**31), 2**31 - 1), st.integers(0, 65535), st.integers(0, 255)))
def test_there_and_back(info: TunInfo) -> None:
    """What was packed is read as what it was."""
    assert decode(Request.TUNSIFINFO, encode(Request.TUNSIFINFO, info)) == info


def test_this_machines_order() -> None:
    """Numbers are in this machine's byte order."""
    assert encode(Request.FIONREAD, 1) == (1).to_bytes(4, sys.byteorder)
