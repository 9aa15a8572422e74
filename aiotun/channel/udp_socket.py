"""
A UDP socket that sends and receives in batches, and counts what is lost.

=======================  ======================================================================
``receive_buffer_full``  the kernel had no room in the socket's receive buffer (Linux); with ``gro``
                         at least so many, for it counts a train that is lost as one datagram
``empty``                a datagram of 0 bytes came, which is no packet
``truncated``            it came without its end, or without word of where its datagrams end
``message_too_big``      longer than the path carries unfragmented; not sent
``unreachable``          no route to the peer, or none from the address of ours; not sent
``not_permitted``        a firewall forbids it; not sent
``refused``              the peer's port was reported closed again at the second try; not sent
``no_memory``            there was no memory for it; not sent, or received and lost
``reported_lost``        the network reported datagrams lost that had been sent, by nobody listening
                         or a filter on the way; at least so many, and none of the others
=======================  ======================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from ..batch import nbytes
from ..endpoint import BATCH
from ..endpoint.forking import abandon_in_child, close_copy
from ..endpoint.reports import Report
from ..errors import DeviceError, device_error
from .udp_address import Address
from .udp_datagrams import RECEIVE_SIZE, Arrived, Run, recv_datagrams, send_datagrams
from .udp_offload import UdpOffload
from .udp_reports import REPORTS, Notice, hear, listen_for_reports

__all__ = ["LARGEST", "UdpSocket"]

LARGEST = {socket.AF_INET: 65507, socket.AF_INET6: 65527}
"""Bytes in one datagram, at most: 65535 less the headers that its length field counts."""

NOT_SENT = {
    errno.EMSGSIZE: "message_too_big",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    getattr(errno, "EHOSTDOWN", 112): "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EPERM: "not_permitted",
    errno.EACCES: "not_permitted",
    errno.ECONNREFUSED: "refused",
    errno.ENOBUFS: "no_memory",
    errno.ENOMEM: "no_memory",
}
"""Why a datagram was not sent: these end neither the batch nor the endpoint."""

# What sending from an address that is not ours any more is refused with: ip_route_output_key_hash_rcu() in Linux
# net/ipv4/route.c, by kernel version, and ip6_datagram_send_ctl() in net/ipv6/datagram.c.
NO_SOURCE = (errno.EINVAL, errno.ENETUNREACH, errno.EADDRNOTAVAIL)

ONE_BY_ONE = (errno.EIO, errno.EINVAL, errno.EMSGSIZE)
"""What a train is refused with where its datagrams, one by one, may pass."""

BURST = 256
"""Datagrams that are sent as trains before the loop gets a turn: cut at 64, a train of 45 becomes two of 45 and 19."""

LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
HARMLESS = (0, *LATER, errno.ENOMEM)

SO_MEMINFO = 55  # Linux include/uapi/asm-generic/socket.h and linux/sock_diag.h
MEMINFO = struct.Struct("=9I")  # SK_MEMINFO_DROPS is the last

Receive = Callable[[socket.socket, int, int, bool, bool], tuple[list[Arrived], int, int, int, int]]
Send = Callable[[socket.socket, Sequence[Run], int], tuple[int, int, int]]


class UdpSocket:
    """
    A non-blocking UDP socket. Owns it.

    *on_notice* is called with what the network says of datagrams sent, *on_source_lost* with the peer that can no
    longer be sent to from the address of ours that it knows. *on_error* is called once the socket polled an error:
    libuv watches no longer what does (uv__poll_io() in src/unix/poll.c), so whoever waits has to watch it anew.
    *receive* and *send* are the system calls, to be replaced where a test injects errors.
    """

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        *,
        mtu: int | None = None,
        gso: bool = True,
        gro: bool = False,
        receive: Receive = recv_datagrams,
        send: Send = send_datagrams,
    ) -> None:
        self.socket = sock
        self.name = name
        self.mtu = LARGEST[sock.family]
        if mtu is not None:
            if not 0 < mtu <= self.mtu:
                raise ValueError(f"{name}: the mtu of a UDP channel is from 1 to {self.mtu} bytes, not {mtu}")
            self.mtu = mtu
        self.offload = UdpOffload(sock, gso=gso, gro=gro)
        self.sent = self.sent_bytes = self.received = self.received_bytes = 0
        self.dropped: Counter[str] = Counter()
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        self.on_source_lost: Callable[[Address], None] = lambda address: None
        self.on_error: Callable[[], None] = lambda: None
        self._receive, self._send = receive, send
        self._overflow = 0
        self._told = listen_for_reports(sock)
        abandon_in_child(self)

    @property
    def burst(self) -> int:
        """See Port: datagrams that are sent before the loop gets a turn."""
        return BURST if self.offload.segment else BATCH

    def fileno(self) -> int:
        return self.socket.fileno()

    def recv(self, limit: int, *, addressed: bool) -> list[Arrived]:
        """
        Return runs of up to *limit* datagrams, oldest first, or of more if they come in trains.

        Raises:
            DeviceError: If it is the socket that fails; not for what the network reports, and not before what was
                received is safe.
        """
        runs: list[Arrived] = []
        taken = useless = 0
        for _ in range(limit):  # a report costs one, and ends nothing
            arrived, ended, empty, cut, lost = self._receive(
                self.socket, limit - taken - useless, RECEIVE_SIZE, addressed, self.offload.gro
            )
            for run in arrived:
                taken += len(run[2])
                self.received_bytes += nbytes(run[2])
            runs += arrived
            if empty or cut or lost:
                self.dropped.update(empty=empty, truncated=cut, no_memory=lost)
                useless += empty + cut
            if ended in REPORTS and taken + useless < limit:
                self.hear(ended)
                continue
            if ended not in HARMLESS and not runs:
                raise self.error(ended, "receive")
            break
        self.received += taken
        return runs

    def hear(self, code: int = 0) -> None:
        """
        Take what the network says, and tell it; where that is not kept, *code* is all that it says.

        Call it when the socket polled readable and has no datagram: if this is what woke you, it would again.
        """
        notices = hear(self.socket) if self._told else []
        if notices or code:
            self.on_error()
        for notice in notices:
            self.on_notice(notice)
        if not self._told and code in (errno.ECONNREFUSED, errno.ECONNRESET):
            self.on_notice(Notice(report=Report(None, code), local=False, mtu=None))

    def send(self, runs: Sequence[Run], dropped: Counter[str]) -> int:
        """
        Send from the front of *runs* until the socket has no room; return how many datagrams are done with.

        What cannot be sent is counted in *dropped*.

        Raises:
            DeviceError: If it is the socket that fails; ``sent`` says how many were done with before.
        """
        done = 0
        heard = False
        while runs:
            taken, ended, refused = self._send(self.socket, runs, self.offload.segment)
            if taken:
                self._count_sent(runs, taken)
                done += taken
                runs = _after(runs, taken)
                heard = False
            if ended in LATER or not (ended or taken):  # without room, or without a datagram
                break
            if not ended:
                continue
            if ended in REPORTS and not heard:  # of an earlier datagram, maybe: this one gets a second try
                self.hear(ended)
                heard = True
                continue
            address, local, batch = runs[0]
            if local is not None and ended in NO_SOURCE:
                runs = [_from_anywhere(run, address, local) for run in runs]
                if address is not None:
                    self.on_source_lost(address)
            elif refused > 1 and ended in ONE_BY_ONE:
                self.offload.refuse(len(batch[0]), ended)
                runs = [*((address, local, (one,)) for one in batch[:refused]), *_after(runs, refused)]
            else:
                dropped[self._reason(ended, done)] += refused
                done += refused
                runs = _after(runs, refused)
                heard = False
        return done

    def count_overflow(self) -> None:
        """
        Bring ``receive_buffer_full`` up to date.

        Asked of the socket only when somebody looks, where SO_RXQ_OVFL would make every datagram dearer, and would not
        tell of the last drops at all. It is the same counter of the kernel's.
        """
        if sys.platform != "linux":
            return
        with contextlib.suppress(OSError):
            drops = MEMINFO.unpack(self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[-1]
            new = (drops - self._overflow) & 0xFFFFFFFF
            self._overflow = drops
            if new:
                self.dropped["receive_buffer_full"] += new

    def close(self) -> None:
        self.socket.close()

    def abandon(self) -> None:
        """See Abandoning."""
        close_copy(self.socket.detach())

    # --- inside -----------------------------------------------------------------------------------

    def _count_sent(self, runs: Sequence[Run], taken: int) -> None:
        self.sent += taken
        for _, _, batch in runs:
            if taken < len(batch):
                batch = batch[:taken]
            self.sent_bytes += nbytes(batch)
            taken -= len(batch)
            if not taken:
                break

    def _reason(self, code: int, done: int) -> str:
        """Return why a datagram was not sent; what is wrong with the socket itself is raised."""
        reason = NOT_SENT.get(code)
        if reason is None:
            error = self.error(code, "send")
            error.sent = done
            raise error
        return reason

    def error(self, code: int, doing: str) -> DeviceError:
        """Return what is wrong with the socket itself."""
        error = OSError(code, os.strerror(code))
        return device_error(error, f"{self.name}: cannot {doing}: {error.strerror}")


def _after(runs: Sequence[Run], count: int) -> Sequence[Run]:
    """Return what is left of *runs* behind *count* datagrams."""
    for at, (address, local, batch) in enumerate(runs):
        if count < len(batch):
            return [(address, local, batch[count:] if count else batch), *runs[at + 1 :]]
        count -= len(batch)
    return []


def _from_anywhere(run: Run, address: Address | None, local: str) -> Run:
    """Leave it to the system where a run comes from, if it was to come from *local* to *address*."""
    return (address, None, run[2]) if run[:2] == (address, local) else run
