"""Wires between private networks."""

from __future__ import annotations

from functools import partial

from .options import Addresses, addresses, positive
from .private_network import PrivateNetwork

__all__ = ["PrivateJoining"]


class PrivateJoining(PrivateNetwork):
    """The joining of a private host to another one."""

    async def join(
        self,
        other: PrivateNetwork,
        name: str,
        other_name: str,
        *,
        address: Addresses = (),
        other_address: Addresses = (),
        mtu: int | None = None,
    ) -> None:
        """
        Lay a wire to another private host: a veth pair, up, with one end in each network.

        The kernel carries the frames, this program has no part in it. The wire is there until a program inside
        deletes one of its ends, or either host is closed. Takes some milliseconds, off the event loop, or a second or
        two with IPv6 addresses, for which the kernel looks for duplicates first. If cancelled, there is no wire.

        Args:
            other: The other host; of this process, too.
            name: The name of this end, in this network.
            other_name: The name of the other end, in the other network.
            address: Address with prefix length of this end, or several.
            other_address: The same of the other end.
            mtu: Largest packet, in bytes; 1500 if not given.

        Raises:
            DeviceError: If the kernel refuses: a name is taken, or there is no veth in it.
            DeviceClosed: If either host is closed.

        Who made a user namespace has every right in it, and so over both ends: user_namespaces(7), and veth_newlink()
        in Linux drivers/net/veth.c.
        """
        from ..linux.configure import Settings
        from ..linux.veth import End, cut, join
        from ..linux.worker import in_thread

        mtu = positive("mtu", mtu)
        near = End(self._network(), name, Settings(addresses=addresses(address), mtu=mtu))
        far = End(other._network(), other_name, Settings(addresses=addresses(other_address), mtu=mtu))
        await in_thread(partial(join, near, far), discard=lambda _: cut(near))
