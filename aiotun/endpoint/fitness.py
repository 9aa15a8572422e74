"""What no endpoint sends: what is no packet, and a super-packet that nobody behind it would finish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, cast

from ..errors import PacketError
from ..speedups import twin

if TYPE_CHECKING:
    from ..packet import SuperPacket
    from .port import Port

__all__ = ["all_fit", "check_superpacket", "check_types", "is_unfinished", "refuse_superpacket"]


@twin
def all_fit(batch: Sequence[bytes], least: int, most: int, ethernet: bool, /) -> bool:
    """
    Return whether a device that takes super-packets takes all of *batch*: those that are sound, and stand for packets
    of up to *most* bytes, and plain ones of *least* to *most* bytes.

    What is not among these may be fit all the same, and is worth a look of its own. In C a super-packet takes 0.2 us,
    here 4 us.
    """
    for packet in batch:
        if is_unfinished(packet):
            superpacket = cast("SuperPacket", packet)
            try:
                superpacket.check(ethernet)
            except PacketError:
                return False
            if superpacket.longest_segment > most:
                return False
        elif not (isinstance(packet, bytes) and least <= len(packet) <= most):
            return False
    return True


def check_types(name: str, batch: object) -> None:
    """Raise TypeError unless every packet is bytes: a buffer that changes after it was sent is no packet."""
    if not isinstance(batch, Sequence):
        raise TypeError(f"{name}: a batch is a list of packets, not {type(batch).__name__}")
    for packet in batch:
        if not isinstance(packet, bytes):
            raise TypeError(f"{name}: a packet is bytes, not {type(packet).__name__}")


def check_superpacket(port: Port, packet: SuperPacket, ethernet: bool) -> None:
    """Raise PacketError unless the port takes super-packets, and the kernel would take this one: see its check()."""
    if not port.superpackets:
        refuse_superpacket(port.name)
    try:
        packet.check(ethernet=ethernet)
    except PacketError as error:
        raise PacketError(f"{port.name}: {error}", reason=error.reason) from None


def is_unfinished(packet: bytes) -> bool:
    """Return whether it is a super-packet that lacks something; by its looks, for this room does without its class."""
    return bool(getattr(packet, "gso_type", 0)) or bool(getattr(packet, "needs_csum", False))


def refuse_superpacket(name: str) -> NoReturn:
    """Raise what an endpoint without super-packets says to one."""
    message = f"{name}: a super-packet is not taken here; send what offload.segment() makes of it"
    raise PacketError(message, reason="superpacket")
