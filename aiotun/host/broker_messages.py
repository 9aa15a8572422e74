"""
What a broker and its clients say to each other: a request, an answer, each one message of JSON.

A request is ``{"version": 1, "open": "tun", "name": "vpn0", "options": {...}}``, with ``"queues"`` if it shall have
several, and ``"netns"`` if it is for another namespace; its options are those of open_tun() or open_tap(). The answer
is ``{"version": 1, "name": "vpn0"}`` with the descriptors of its queues, or ``{"version": 1, "error": "DeviceError",
"errno": 16, "text": "vpn0: ..."}``. The device lasts as long as the connection that the two went by, a unix socket of
sequential packets, on which nothing else is said.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from ..endpoint.names import check_name
from ..errors import DeviceError, device_error
from ..routing import Route, Rule
from .link_options import TapOptions, TunOptions, check_options, link_settings

if TYPE_CHECKING:
    from ..linux import Settings

__all__ = ["DEFAULT_PATH", "LIMIT", "MAX_QUEUES", "Request", "decode_answer", "encode_answer", "encode_error"]

DEFAULT_PATH = "/run/aiotun.sock"
"""Where a broker listens."""

VERSION = 1

LIMIT = 16384
"""Bytes of a message, at most."""

MAX_QUEUES = 253
"""Descriptors that go with one message: SCM_MAX_FD of Linux include/net/scm.h."""

OPTIONS: dict[object, type[TunOptions]] = {"tun": TunOptions, "tap": TapOptions}
"""The kinds of device, and what each can be asked to be."""


@attrs.frozen(kw_only=True)
class Request:
    """Open this device for me."""

    kind: Literal["tun", "tap"]
    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """The options of open_tun() or open_tap() as JSON has them; None is not one."""
    queues: int | None = None
    """How many queues of a multi-queue device to open; None is a device that has one."""
    netns: str | None = None
    """The name of a network namespace; None is the broker's own."""

    @classmethod
    def make(
        cls,
        kind: Literal["tun", "tap"],
        name: str,
        options: Mapping[str, Any],
        queues: int | None = None,
        netns: str | None = None,
    ) -> Self:
        """
        Make the request for what open_tun() or open_tap() was called with.

        Raises:
            ValueError, TypeError: If it cannot be.
        """
        plain = {option: _plain(option, value) for option, value in options.items() if value is not None}
        return cls(kind=kind, name=check_name(name), options=plain, queues=_queues(queues), netns=netns)

    def settings(self) -> Settings:
        """
        Return what the device shall be.

        Raises:
            ValueError, TypeError: If the value of an option cannot be.
        """
        values = dict(self.options)
        for option, make in (("routes", Route), ("rules", Rule)):
            given = values.get(option)
            several = [given] if isinstance(given, dict) else given
            if isinstance(several, list):
                values[option] = [_made(make, one) if isinstance(one, dict) else one for one in several]
        return link_settings(values)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        """
        Return the message.

        Raises:
            ValueError: If it is too long.
        """
        fields: dict[str, Any] = {"version": VERSION, "open": self.kind, "name": self.name, "options": self.options}
        for field in ("queues", "netns"):
            if getattr(self, field) is not None:
                fields[field] = getattr(self, field)
        message = json.dumps(fields).encode()
        if len(message) > LIMIT:
            raise ValueError(f"{self.name}: the request is {len(message)} bytes, at most {LIMIT} fit")
        return message

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """
        Return the request that a client sent.

        Raises:
            ValueError, TypeError: If it is none; the text is for the client.
        """
        fields = _object(message, "request")
        unknown = sorted(fields.keys() - {"version", "open", "name", "options", "queues", "netns"})
        if unknown:
            raise ValueError(f"broker: a request has no field {', '.join(map(ascii, unknown))}")
        kind, name, options, netns = fields.get("open"), fields.get("name"), fields.get("options"), fields.get("netns")
        if not isinstance(kind, str) or kind not in OPTIONS:
            raise ValueError(f"broker: a request opens a tun or a tap, not {kind!a}")
        if not isinstance(options, dict):
            raise TypeError(f"broker: options are an object, not {options!a}")
        if netns is not None and (not isinstance(netns, str) or not netns or "/" in netns or netns in (".", "..")):
            raise ValueError(f"broker: a network namespace is given by its name, not as {netns!a}")
        if not check_name(name).isprintable():  # type: ignore[arg-type]  # it raises TypeError itself
            raise ValueError(f"broker: {name!a} cannot be printed")
        check_options(f"open_{kind}", OPTIONS[kind], options)
        given = {option: value for option, value in options.items() if value is not None}
        queues = _queues(fields.get("queues"))
        return cls(kind=kind, name=str(name), options=given, queues=queues, netns=netns)  # type: ignore[arg-type]


def _queues(queues: int | None) -> int | None:
    if queues is not None and not (isinstance(queues, int) and 1 <= queues <= MAX_QUEUES):
        raise ValueError(f"queues is 1 to {MAX_QUEUES} of a broker, not {queues!r}")
    return queues


def _plain(option: str, value: object) -> object:
    """Return the value of an option as JSON has it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, IPv4Address | IPv6Address | IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Route | Rule):
        fields = ((field, getattr(value, field.name)) for field in attrs.fields(type(value)))
        return {field.name: _plain(option, one) for field, one in fields if one != field.default}
    if isinstance(value, Mapping):
        return {str(key): _plain(option, one) for key, one in value.items()}
    if isinstance(value, Iterable):
        return [_plain(option, one) for one in value]
    raise TypeError(f"{option} is a {type(value).__name__}, which cannot be sent to a broker")


def _made(make: Callable[..., object], fields: Mapping[str, Any]) -> object:
    """Return the route or rule of these fields; a list among them was a tuple."""
    return make(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def _object(message: bytes, what: str) -> dict[str, Any]:
    """Return the fields of a message of this version."""
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        raise ValueError(f"broker: a {what} is an object in JSON, not {message[:40]!a}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"broker: a {what} is an object in JSON, not {message[:40]!a}")
    if fields.get("version") != VERSION:
        raise ValueError(f"broker: the {what} is of version {fields.get('version')!a}, this is version {VERSION}")
    return fields


# What can be raised at the other end again, and how; the first that fits. Others are no answer.
ERRORS: dict[str, tuple[type[Exception], Callable[[int, str], Exception]]] = {
    "PermissionError": (PermissionError, PermissionError),
    "DeviceError": (OSError, lambda code, text: device_error(OSError(code, text), text)),
    "ValueError": (ValueError, lambda code, text: ValueError(text)),
    "TypeError": (TypeError, lambda code, text: TypeError(text)),
}


def encode_answer(name: str) -> bytes:
    """Return the answer that goes with the descriptor of the device called *name*."""
    return json.dumps({"version": VERSION, "name": name}).encode()


def encode_error(error: Exception) -> bytes:
    """Return the answer that raises *error* at the client; of what no client shall know, that there was something."""
    word = next((word for word, (kind, _) in ERRORS.items() if isinstance(error, kind)), None)
    if word is None:
        return encode_error(DeviceError("broker: it failed; its log says how"))
    code = getattr(error, "errno", None) or errno.EINVAL
    text = getattr(error, "strerror", None) or str(error)
    return json.dumps({"version": VERSION, "error": word, "errno": code, "text": text[: LIMIT // 8]}).encode()


def decode_answer(message: bytes) -> str:
    """
    Return the name of the device that was opened.

    Raises:
        PermissionError, DeviceError, ValueError, TypeError: If it was not; by errno and text, as the broker says.
    """
    fields = _object(message, "answer")
    if "error" not in fields:
        return str(fields["name"])
    _, make = ERRORS[fields["error"]]
    raise make(fields["errno"], fields["text"])
