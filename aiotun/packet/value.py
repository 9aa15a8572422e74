"""
What the values share: converters and validators that answer a wrong argument with a sentence.

A value out of range raises PacketError (a ValueError) with reason ``bad_value``; a value of the
wrong type raises TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol, TypeVar

from attrs import Attribute, fields

from ..errors import PacketError
from .view import View

__all__ = ["Address", "AddressLike", "to_bytes", "to_ipv4", "to_ipv6", "to_packed", "uint"]

Address = IPv4Address | IPv6Address
"""An address as values hold it."""

AddressLike = Address | str | bytes
"""An address as callers may write it: the object, its text, or its 4 or 16 bytes."""

V = TypeVar("V")

Validator = Callable[[Any, "Attribute[Any]", Any], None]


def uint(width: int) -> Validator:
    """Return a validator that wants an integer of *width* bits, not negative."""
    limit = (1 << width) - 1

    def check(value: object, field: Attribute[Any], number: Any) -> None:
        name = f"{type(value).__name__}: {field.name}"
        # bool is an int to Python, and a mistake here: ttl=True is not a hop count.
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{name} is {number!r}, it must be an integer")
        if not 0 <= number <= limit:
            raise PacketError(f"{name} is {number}, it must be 0 to {limit}", reason="bad_value")

    return check


def boolean(value: object, field: Attribute[Any], flag: Any) -> None:
    """Validate a flag: True or False, since the text "no" is as true as any."""
    if not isinstance(flag, bool):
        raise TypeError(f"{type(value).__name__}: {field.name} is {flag!r}, it must be True or False")


def option_bytes(value: object, field: Attribute[Any], options: bytes) -> None:
    """Validate IPv4 or TCP options: whole 32-bit words, at most ten of them."""
    if len(options) > 40 or len(options) % 4:
        raise PacketError(
            f"{type(value).__name__}: {field.name} take {len(options)} bytes, they must take a multiple of 4 up to 40",
            reason="bad_value",
        )


def to_bytes(octets: Any) -> bytes:
    """
    Return *octets* as plain bytes, without a copy if they already are.

    Raises:
        TypeError: If it isn't a buffer; ``bytes(5)`` would have been five zeros.
    """
    if not isinstance(octets, bytes | bytearray | memoryview):
        raise TypeError(f"expected bytes, not {octets!r}")
    return bytes(octets)


def to_ipv4(address: AddressLike) -> IPv4Address:
    """
    Return *address* as an IPv4Address.

    Raises:
        PacketError: If it is no IPv4 address.
        TypeError: If it isn't an address, text or bytes.
    """
    if isinstance(address, IPv4Address):
        return address
    _want_address(address)
    try:
        return IPv4Address(address)
    except ValueError as error:
        raise PacketError(f"{address!r} is not an IPv4 address", reason="bad_value") from error


def to_ipv6(address: AddressLike) -> IPv6Address:
    """
    Return *address* as an IPv6Address, without a zone: a packet carries none.

    Raises:
        PacketError: If it is no IPv6 address, or has a zone.
        TypeError: If it isn't an address, text or bytes.
    """
    _want_address(address)
    try:
        result = address if isinstance(address, IPv6Address) else IPv6Address(address)
    except ValueError as error:
        raise PacketError(f"{address!r} is not an IPv6 address", reason="bad_value") from error
    if result.scope_id is not None:
        raise PacketError(f"{result} has a zone, a packet cannot carry one", reason="bad_value")
    return result


def to_packed(address: AddressLike) -> bytes:
    """
    Return the 4 or 16 bytes of *address*, of either version.

    Raises:
        PacketError: If it is no address.
        TypeError: If it isn't an address, text or bytes.
    """
    if isinstance(address, bytes):
        if len(address) not in (4, 16):
            raise PacketError(f"an address takes 4 or 16 bytes, not {len(address)}", reason="bad_value")
        return address
    if isinstance(address, IPv4Address) or (isinstance(address, str) and ":" not in address):
        return to_ipv4(address).packed
    return to_ipv6(address).packed


def packed_pair(src: AddressLike, dst: AddressLike) -> tuple[bytes, bytes]:
    """Return both addresses of a packet as bytes, and make sure that they are of one version."""
    a, b = to_packed(src), to_packed(dst)
    if len(a) != len(b):
        raise PacketError(f"{src!r} and {dst!r} are addresses of different IP versions", reason="bad_value")
    return a, b


def from_view(cls: type[V], view: View) -> V:
    """Return the value whose every field is the view's field of the same name."""
    return cls(**{field.name: getattr(view, field.name) for field in fields(cls)})  # type: ignore[arg-type]


def echo_word(identifier: int, sequence: int) -> int:
    """Return the second word of an echo message, or complain about either half."""
    for name, number in (("identifier", identifier), ("sequence", sequence)):
        if not 0 <= number <= 0xFFFF:
            raise PacketError(f"echo: {name} is {number}, it must be 0 to 65535", reason="bad_value")
    return identifier << 16 | sequence


class Checksummed(Protocol):
    """A view of a transport whose checksum covers a pseudo-header."""

    @property
    def checksum(self) -> int: ...
    def checksum_ok(self, src: bytes, dst: bytes) -> bool: ...


def check_transport(name: str, view: Checksummed, src: AddressLike | None, dst: AddressLike | None) -> None:
    """Verify the checksum of *view* if there are addresses to do it with."""
    if src is None or dst is None:
        return
    a, b = packed_pair(src, dst)
    if not view.checksum_ok(a, b):
        raise PacketError(f"{name}: checksum is 0x{view.checksum:04x}, wrong", reason="bad_checksum")


def _want_address(address: object) -> None:
    # The ipaddress constructors accept integers; in this library an integer is a mistake.
    if not isinstance(address, IPv4Address | IPv6Address | str | bytes):
        raise TypeError(f"expected an address, not {address!r}")
