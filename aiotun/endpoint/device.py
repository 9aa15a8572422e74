"""The device behind an endpoint, as its driver lets it be controlled: what no packet and no link setting says."""

from __future__ import annotations

import abc
from collections.abc import Iterable

__all__ = ["Device"]


class Device(abc.ABC):
    """
    The interface behind a tun or tap endpoint of the kernel, and the queue the endpoint is: ``tun.device``.

    Each member is one question to the driver, or one order: it takes microseconds, but waits for the kernel's
    configuration lock where others hold it. What is said of the interface holds for all its queues, and on a
    persistent device it outlives the endpoint. Every member raises DeviceGone if the interface was deleted, and
    DeviceClosed if the endpoint is closed.

    Modelled on __tun_chr_ioctl() in Linux drivers/net/tun.c.
    """

    # --- the queue --------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def attached(self) -> bool:
        """Whether the endpoint's queue takes part; False after detach_queue()."""

    @abc.abstractmethod
    def detach_queue(self) -> None:
        """
        Take the endpoint's queue of a multi-queue device out of service (TUNSETQUEUE).

        Flows that came out of it come out of the others from now on; while all are detached the kernel drops what it
        sends. Packets that wait in the queue are lost, uncounted: receive them before. Then receiving waits, and
        sending raises QueueDetached.

        Raises:
            DeviceError: If it is detached already, or the device was opened without ``queues``.
        """

    @abc.abstractmethod
    def attach_queue(self) -> None:
        """
        Put the queue back into service (TUNSETQUEUE).

        Raises:
            DeviceError: If it is attached.
        """

    @property
    @abc.abstractmethod
    def queues(self) -> int:
        """How many queues the interface has, detached ones and those of other processes included."""

    @property
    @abc.abstractmethod
    def send_buffer(self) -> int:
        """
        How many bytes of packets sent into the stack may be under way there before sending waits (TUNSETSNDBUF).

        Read of this queue, set for all; without limit, 2147483647, on a new device.
        """

    @send_buffer.setter
    @abc.abstractmethod
    def send_buffer(self, size: int) -> None: ...

    # --- the interface ----------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def carrier(self) -> bool:
        """
        Whether the link has a carrier, as if a cable were in (TUNSETCARRIER); on, as long as a queue is attached.

        Without one the interface stays up, and what the stack sends to it is dropped. Sending into the stack works.
        """

    @carrier.setter
    @abc.abstractmethod
    def carrier(self, carrier: bool) -> None: ...

    @property
    @abc.abstractmethod
    def persistent(self) -> bool:
        """Whether the interface outlives its last descriptor (TUNSETPERSIST)."""

    @persistent.setter
    @abc.abstractmethod
    def persistent(self, persistent: bool) -> None: ...

    @property
    @abc.abstractmethod
    def owner(self) -> int | None:
        """
        The number of the user who may attach without CAP_NET_ADMIN (TUNSETOWNER), or None.

        With neither an owner nor a group everybody may; with both, who is both. It can be changed, but not taken away.
        """

    @owner.setter
    @abc.abstractmethod
    def owner(self, uid: int) -> None: ...

    @property
    @abc.abstractmethod
    def owner_group(self) -> int | None:
        """The number of the group whose members may attach without CAP_NET_ADMIN (TUNSETGROUP), or None."""

    @owner_group.setter
    @abc.abstractmethod
    def owner_group(self, gid: int) -> None: ...

    @property
    @abc.abstractmethod
    def link_type(self) -> int:
        """
        The link type, an ARPHRD number (TUNSETLINK): 65534, none, on a tun; 1, Ethernet, on a tap.

        What others are told the interface is, such as capture programs; packets stay as they are. Set it while the
        interface is down.
        """

    @link_type.setter
    @abc.abstractmethod
    def link_type(self, number: int) -> None: ...

    @property
    @abc.abstractmethod
    def vnet_header_size(self) -> int:
        """Bytes of virtio-net header in front of each packet at the descriptor; 0 without IFF_VNET_HDR. Read only."""

    @property
    @abc.abstractmethod
    def offload(self) -> frozenset[str]:
        """
        Which work on packets is left to the other side, switched at any time; of a device opened with ``offload``.

        The stack leaves it to the reader to cut TCP (``tso``) and UDP (``uso``) into packets (TUNSETOFFLOAD): set for
        all queues of the device. It takes TCP (``tcp_gro``) and UDP (``udp_gro``) that the writer merged; one that is
        off is cut before it is written, and one that the kernel refuses is off from then on. ``tunnel`` is for both
        ways: TCP and UDP inside VXLAN and Geneve. It needs ``tso``, Linux 6.17, and a device that was opened with it,
        as its vnet header is longer. A tun hands such super-packets out but does not take them; they are cut before
        they are written. What is granted may be less than what was set; ``capabilities.off`` says why. That another
        process switches it is not seen here.

        Raises:
            ValueError: If a name is another one.
            DeviceError: If the device was opened without ``offload``.
        """

    @offload.setter
    @abc.abstractmethod
    def offload(self, features: Iterable[str]) -> None: ...

    @property
    @abc.abstractmethod
    def features(self) -> frozenset[str]:
        """The flags this kernel's driver knows, by its names (TUNGETFEATURES)."""

    # --- which packets come out, and where --------------------------------------------------------

    @abc.abstractmethod
    def filter_addresses(self, addresses: Iterable[str | bytes], *, all_multicast: bool = False) -> None:
        """
        Let only frames to these hardware addresses come out of a tap (TUNSETTXFILTER); none lifts the filter.

        The kernel compares up to 8 addresses exactly and keeps only a hash of the groups beyond, so that some more
        frames may pass. Broadcast is a group: name it. What is not let through counts as dropped by the kernel.

        Args:
            addresses: As text, ``"02:00:00:00:00:01"``, or 6 bytes.
            all_multicast: Whether frames to all groups come out, broadcast included.

        Raises:
            ValueError: If one is no address, or more than 8 are no groups'.
            DeviceError: If the device is a tun.
        """

    @abc.abstractmethod
    def steer(self, program: bytes | int | None) -> None:
        """
        Let a program choose the queue that each packet comes out of (TUNSETSTEERINGEBPF); None lifts it.

        Its result, modulo the number of attached queues, is the queue, counted in the order of opening. Without one
        the kernel chooses by the packet's flow, and a flow comes out where packets of it were last sent.

        Args:
            program: The eBPF instructions of a socket filter, which sees the packet; or a descriptor of a loaded
                one, which stays the caller's. Instructions are loaded under the licence ``GPL``.

        Raises:
            ValueError: If it is no whole number of instructions.
            PermissionError: If this process may not load programs; the text names the remedy.
            DeviceError: If the kernel's verifier refuses it, and the text has its log; or the descriptor is none.
        """

    @abc.abstractmethod
    def filter(self, program: bytes | int | None) -> None:
        """
        Let a program drop packets before they reach a queue (TUNSETFILTEREBPF); None lifts it.

        Its result is how many bytes of the packet to keep: 0 drops it, which counts as dropped by the kernel, and
        less than the whole cuts it short. Arguments and errors are those of steer().
        """

    @abc.abstractmethod
    def open_namespace(self) -> int:
        """
        Return a new descriptor of the network namespace the interface is in (TUNGETDEVNETNS); the caller's.

        Raises:
            PermissionError: If this process lacks CAP_NET_ADMIN there.
        """
