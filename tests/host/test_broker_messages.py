"""What a broker and its clients say to each other."""

from __future__ import annotations

import errno
import json
from ipaddress import ip_interface
from pathlib import PurePosixPath
from typing import Any

import pytest

from aiotun import DeviceBusy, DeviceError
from aiotun.host.broker_messages import (
    LIMIT,
    MAX_QUEUES,
    Request,
    decode_answer,
    encode_answer,
    encode_error,
)
from aiotun.routing import Route, Rule


def message(**fields: Any) -> bytes:
    """Return a request with these fields changed; None takes one out."""
    whole = {"version": 1, "open": "tun", "name": "vpn0", "options": {}} | fields
    return json.dumps({field: value for field, value in whole.items() if value is not ...}).encode()


def test_a_request_there_and_back() -> None:
    """A request is decoded as it was made."""
    request = Request.make("tap", "vpn0", {"address": ["10.8.0.2/24"], "mtu": 1400, "up": False}, 2, "blue")
    assert Request.decode(request.encode()) == request


def test_what_is_not_given_is_not_sent() -> None:
    """Neither None nor what a request does not need is in the message."""
    request = Request.make("tun", "vpn0", {"mtu": None})
    assert json.loads(request.encode()) == {"version": 1, "open": "tun", "name": "vpn0", "options": {}}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (ip_interface("10.8.0.2/24"), "10.8.0.2/24"),
        (iter(["10.8.0.2/24", ip_interface("fd00::2/64")]), ["10.8.0.2/24", "fd00::2/64"]),
        (b"\x02\0\0\0\0\1", "02:00:00:00:00:01"),
        (True, True),
        (PurePosixPath("/x"), "/x"),
        ({"net.ipv4.ip_forward": 1}, {"net.ipv4.ip_forward": 1}),
        ([Route("10.0.0.0/8")], [{"prefix": "10.0.0.0/8"}]),
        ([Route("10.0.0.0/8", via="10.8.0.1", metric=5)], [{"prefix": "10.0.0.0/8", "via": "10.8.0.1", "metric": 5}]),
        ([Rule(uids=(0, 9), table=7)], [{"table": 7, "uids": [0, 9]}]),
    ],
)
def test_values_as_json_has_them(value: object, sent: object) -> None:
    """Whatever open_tun() takes for an option is sent as plain JSON."""
    assert json.loads(Request.make("tun", "vpn0", {"option": value}).encode())["options"] == {"option": sent}


def test_a_value_that_cannot_be_sent() -> None:
    """What is no value is refused before it is sent, naming the option."""
    with pytest.raises(TypeError, match="option is a object, which cannot be sent to a broker"):
        Request.make("tun", "vpn0", {"option": object()})


def test_the_settings_of_a_request() -> None:
    """Options become what they would have been without a broker, routes and rules too."""
    options = {
        "address": "10.8.0.2/24",
        "mtu": 1400,
        "routes": [Route("10.0.0.0/8", metric=5), "10.1.0.0/16"],
        "rules": [Rule(uids=(0, 9), table=7)],
    }
    settings = Request.decode(Request.make("tun", "vpn0", options).encode()).settings()
    assert settings.addresses == [ip_interface("10.8.0.2/24")]
    assert settings.routes == [Route("10.0.0.0/8", metric=5), Route("10.1.0.0/16")]
    assert settings.rules == [Rule(uids=(0, 9), table=7)]
    assert (settings.mtu, settings.up) == (1400, True)


@pytest.mark.parametrize("one", [Route("10.0.0.0/8", table=7), "10.0.0.0/8"])
def test_a_single_route_and_rule(one: Any) -> None:
    """One route or rule that is no list is one as well by a broker."""
    settings = Request.decode(Request.make("tun", "vpn0", {"routes": one, "rules": Rule(table=7)}).encode()).settings()
    assert (settings.routes, settings.rules) == ([one if isinstance(one, Route) else Route(one)], [Rule(table=7)])


def test_a_request_that_is_too_long() -> None:
    """What does not fit in a message is refused before it is sent."""
    with pytest.raises(ValueError, match=rf"vpn0: the request is \d+ bytes, at most {LIMIT} fit"):
        Request.make("tun", "vpn0", {"address": ["10.8.0.2/24"] * 2000}).encode()


@pytest.mark.parametrize("queues", [0, -1, MAX_QUEUES + 1, "2"])
def test_a_number_of_queues_that_cannot_be(queues: Any) -> None:
    """As many queues as descriptors fit in a message can be asked for, and one at least."""
    with pytest.raises(ValueError, match=f"queues is 1 to {MAX_QUEUES} of a broker"):
        Request.make("tun", "vpn0", {}, queues)


@pytest.mark.parametrize(
    ("garbage", "text"),
    [
        (b"\xff\xfe", "a request is an object in JSON, not b'\\xff\\xfe'"),
        (b"[" * LIMIT, "a request is an object in JSON, not b'[[[["),
        (b"1" * 10_000, "a request is an object in JSON, not b'1111"),
        (b"[]", "a request is an object in JSON, not b'[]'"),
        (message(version=2), "the request is of version 2, this is version 1"),
        (message(version=...), "the request is of version None, this is version 1"),
        (message(path="/x", aim=1), "a request has no field 'aim', 'path'"),
        (message(open="tunnel"), "a request opens a tun or a tap, not 'tunnel'"),
        (message(open=["tun"]), "a request opens a tun or a tap, not ['tun']"),
        (message(options=[]), "options are an object, not []"),
        (message(options=...), "options are an object, not None"),
        (message(options={"mac": "02:00:00:00:00:01"}), "open_tun() has no option 'mac'"),
        (message(options={"netns": "x"}), "open_tun() has no option 'netns'"),
        (message(name=...), "an interface's name is text, not NoneType"),
        (message(name="a/b"), "'a/b' cannot name an interface"),
        (message(name="a\x1b[2J"), "'a\\x1b[2J' cannot be printed"),
        (message(netns="/proc/1/ns/net"), "a network namespace is given by its name, not as '/proc/1/ns/net'"),
        (message(netns=".."), "a network namespace is given by its name, not as '..'"),
        (message(netns=""), "a network namespace is given by its name, not as ''"),
        (message(netns=7), "a network namespace is given by its name, not as 7"),
        (message(queues=0), "queues is 1 to 253 of a broker, not 0"),
    ],
)
def test_what_is_no_request(garbage: bytes, text: str) -> None:
    """Whatever a client sends that is no request is refused, saying what is wrong."""
    with pytest.raises((ValueError, TypeError)) as caught:
        Request.decode(garbage)
    assert text in str(caught.value)


@pytest.mark.parametrize("options", [{"routes": [{"prefix": "x"}]}, {"routes": [{"to": 1}]}, {"rules": [{"x": 1}]}])
def test_routes_that_are_none(options: dict[str, Any]) -> None:
    """Fields that make no route or rule are refused like any other value."""
    with pytest.raises((ValueError, TypeError)):
        Request.decode(message(options=options)).settings()


def test_the_answer() -> None:
    """An answer tells the name."""
    assert decode_answer(encode_answer("vpn0")) == "vpn0"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (PermissionError(errno.EPERM, "vpn0: no"), PermissionError, errno.EPERM),
        (DeviceBusy("vpn0: no"), DeviceBusy, errno.EBUSY),
        (DeviceError("vpn0: no", errno.EINVAL), DeviceError, errno.EINVAL),
        (OSError(errno.EMFILE, "vpn0: no"), DeviceError, errno.EMFILE),
    ],
)
def test_errors_are_raised_again(error: OSError, kind: type[OSError], code: int) -> None:
    """An error arrives as its class, with its errno and its text."""
    with pytest.raises(OSError) as caught:
        decode_answer(encode_error(error))
    assert (type(caught.value), caught.value.errno, caught.value.strerror) == (kind, code, "vpn0: no")


@pytest.mark.parametrize("error", [ValueError("vpn0: no"), TypeError("vpn0: no")])
def test_errors_without_a_number(error: Exception) -> None:
    """A value that cannot be arrives as that."""
    with pytest.raises(type(error), match="^vpn0: no$"):
        decode_answer(encode_error(error))


def test_a_fault_of_the_broker_is_its_own() -> None:
    """What went wrong in the broker itself is not told to clients."""
    with pytest.raises(DeviceError, match="^broker: it failed; its log says how$"):
        decode_answer(encode_error(KeyError("secret")))


def test_a_long_text_fits() -> None:
    """However long an error's text is, the answer is a message."""
    assert len(encode_error(ValueError("\0" * LIMIT))) <= LIMIT
