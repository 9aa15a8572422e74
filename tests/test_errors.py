"""The exceptions, and the table that turns an errno into one."""

from __future__ import annotations

import copy
import errno
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from aiotun import errors
from aiotun.errors import (
    AiotunError,
    ConcurrencyError,
    DeviceBusy,
    DeviceClosed,
    DeviceDown,
    DeviceError,
    DeviceGone,
    PacketError,
    PacketTooBig,
    QueueFull,
    UnsupportedFamily,
    WouldBlock,
    device_error,
)

CODES = [
    (DeviceError, errno.EIO),
    (DeviceBusy, errno.EBUSY),
    (DeviceDown, errno.EHOSTDOWN),
    (QueueFull, errno.ENOBUFS),
    (PacketTooBig, errno.EMSGSIZE),
    (UnsupportedFamily, errno.EAFNOSUPPORT),
    (DeviceGone, errno.ENODEV),
]

REASONS = [
    (DeviceError, "refused"),
    (DeviceDown, "down"),
    (QueueFull, "queue_full"),
    (PacketTooBig, "too_big"),
    (UnsupportedFamily, "unsupported_family"),
    (DeviceGone, "gone"),
]

TABLE = [
    (errno.EIO, DeviceDown),
    (errno.EHOSTDOWN, DeviceDown),
    (errno.EBUSY, DeviceBusy),
    (errno.ENOBUFS, QueueFull),
    (errno.ENOMEM, QueueFull),
    (errno.EMSGSIZE, PacketTooBig),
    (errno.EAFNOSUPPORT, UnsupportedFamily),
    (errno.ENODEV, DeviceGone),
    (errno.ENXIO, DeviceGone),
    (errno.EBADF, DeviceGone),
    (errno.EBADFD, DeviceGone),
    (errno.EINVAL, DeviceError),
    (errno.EPERM, DeviceError),
    (errno.EAGAIN, DeviceError),
]

device_errors = pytest.mark.parametrize("kind", [kind for kind, _ in CODES])
copies = pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "deep", "pickle"]
)


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"WouldBlock", "device_error"}))
def test_everything_is_an_aiotun_error(name: str) -> None:
    """``except AiotunError`` catches whatever aiotun itself raises."""
    assert issubclass(getattr(errors, name), AiotunError)


@device_errors
def test_what_a_device_raises_is_an_os_error(kind: type[DeviceError]) -> None:
    """``except OSError`` catches what a device refuses, and so does ``except DeviceError``."""
    assert issubclass(kind, OSError) and issubclass(kind, DeviceError)


@pytest.mark.parametrize("kind", [DeviceClosed, ConcurrencyError, PacketError])
def test_a_fault_of_the_program_is_no_os_error(kind: type[AiotunError]) -> None:
    """What the program did wrong itself is not caught by ``except OSError``."""
    assert not issubclass(kind, OSError)


def test_a_bad_packet_is_a_bad_value() -> None:
    """``except ValueError`` catches bytes that are no packet."""
    with pytest.raises(ValueError, match="tun0: packet is empty"):
        raise PacketError("tun0: packet is empty")


def test_would_block_is_pythons_own() -> None:
    """``except BlockingIOError`` catches what a nowait form raises."""
    assert WouldBlock is BlockingIOError


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_a_class_has_its_errno(kind: type[DeviceError], code: int) -> None:
    """An error carries the errno that the C drivers answer at the same point."""
    assert kind("tun0: refused").errno == code


@device_errors
def test_an_error_is_the_given_errno(kind: type[DeviceError]) -> None:
    """An instance keeps a more precise errno than its class has."""
    assert kind("tun0: refused", errno.EPROTO).errno == errno.EPROTO


@device_errors
def test_an_error_is_its_sentence(kind: type[DeviceError]) -> None:
    """str() of an error is the sentence, without the errno in front."""
    assert str(kind("tun0: the interface is down")) == "tun0: the interface is down"


@device_errors
def test_strerror_is_the_sentence(kind: type[DeviceError]) -> None:
    """Code that reads an OSError's strerror finds the sentence."""
    assert kind("tun0: refused").strerror == "tun0: refused"


@device_errors
@copies
def test_a_device_error_survives_a_copy(kind: type[DeviceError], again: Callable[[Any], Any]) -> None:
    """A copied error is of the same class, with the same text and errno."""
    twin = again(kind("tun0: refused", errno.EPROTO))
    assert (type(twin), str(twin), twin.errno) == (kind, "tun0: refused", errno.EPROTO)


@copies
def test_a_copy_knows_how_many_were_sent(again: Callable[[Any], Any]) -> None:
    """A copied error still says how many packets went before it."""
    error = DeviceDown("tun0: the interface is down")
    error.sent = 3
    assert again(error).sent == 3


@copies
def test_a_packet_error_survives_a_copy(again: Callable[[Any], Any]) -> None:
    """A copied PacketError has the same text and reason."""
    twin = again(PacketError("header is short", reason="short_header"))
    assert (type(twin), str(twin), twin.reason) == (PacketError, "header is short", "short_header")


def test_nothing_was_sent_unless_said() -> None:
    """Without a word about it, an error came before the first packet."""
    assert DeviceDown("tun0: the interface is down").sent == 0


@pytest.mark.parametrize(("kind", "reason"), REASONS)
def test_a_refusal_has_a_reason(kind: type[DeviceError], reason: str) -> None:
    """A class of refusals names the word its drops are counted under."""
    assert kind("tun0: refused").reason == reason


def test_a_packet_error_has_a_reason() -> None:
    """A PacketError is counted as bad_packet if it does not say more."""
    assert PacketError("no packet").reason == "bad_packet"


@pytest.mark.parametrize(("code", "kind"), TABLE, ids=[errno.errorcode[code] for code, _ in TABLE])
def test_the_table(code: int, kind: type[DeviceError]) -> None:
    """An errno of a system call becomes the exception that stands for it."""
    assert type(device_error(OSError(code, "what the system says"), "tun0: refused")) is kind


@pytest.mark.parametrize("code", [code for code, _ in TABLE], ids=errno.errorcode.get)
def test_a_translated_error_keeps_its_errno(code: int) -> None:
    """A translated error has the errno of the system call and the text it was given."""
    error = device_error(OSError(code, "what the system says"), "tun0: refused")
    assert (error.errno, str(error)) == (code, "tun0: refused")


def test_an_error_without_errno_means_nothing_special() -> None:
    """An OSError without an errno becomes a plain DeviceError: nothing says that the interface is down."""
    error = device_error(OSError("no number"), "tun0: refused")
    assert (type(error), error.errno) == (DeviceError, errno.EIO)
