"""The control of a kernel device: one ioctl each, and what its refusal means."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..endpoint import OFFLOAD, Device, allowed_offload, check_offload
from ..errors import DeviceClosed, DeviceError, DeviceGone, device_error
from .address_filter import address_filter
from .constants import (
    IFF_ATTACH_QUEUE,
    IFF_DETACH_QUEUE,
    IFF_PERSIST,
    IFF_TAP,
    IFF_VNET_HDR,
    IFREQ,
    INT,
    TUNGETDEVNETNS,
    TUNGETFEATURES,
    TUNGETSNDBUF,
    TUNGETVNETHDRSZ,
    TUNSETCARRIER,
    TUNSETFILTEREBPF,
    TUNSETGROUP,
    TUNSETLINK,
    TUNSETOWNER,
    TUNSETPERSIST,
    TUNSETQUEUE,
    TUNSETSNDBUF,
    TUNSETSTEERINGEBPF,
    TUNSETTXFILTER,
    flag_names,
)
from .program import load_program
from .rtnetlink import Link
from .terms import NOT_MAPPED, signed
from .tuninfo import TunInfo

if TYPE_CHECKING:
    from .port import KernelPort
    from .tunfile import TunFile

__all__ = ["KernelDevice"]

NO_PROGRAM = -1


class KernelDevice(Device):
    """The device of a port. Owns nothing."""

    def __init__(self, port: KernelPort, file: TunFile) -> None:
        self._port = port
        self._file = file

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    # --- the queue --------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        return not self._flags() & IFF_DETACH_QUEUE

    def detach_queue(self) -> None:
        self._set_queue(IFF_DETACH_QUEUE, "detach the queue")
        self._port.set_detached(True)

    def attach_queue(self) -> None:
        self._set_queue(IFF_ATTACH_QUEUE, "attach the queue")
        self._port.set_detached(False)

    @property
    def queues(self) -> int:
        return self._info().queues

    @property
    def send_buffer(self) -> int:
        return self._get(TUNGETSNDBUF, "tell its send buffer")

    @send_buffer.setter
    def send_buffer(self, size: int) -> None:
        _check("send buffer", size, 1, 2**31 - 1, self._name)
        self._order(TUNSETSNDBUF, INT.pack(size), f"set a send buffer of {size} bytes")

    # --- the interface ----------------------------------------------------------------------------

    @property
    def carrier(self) -> bool:
        return self._link().carrier

    @carrier.setter
    def carrier(self, carrier: bool) -> None:
        try:
            self._order(TUNSETCARRIER, INT.pack(bool(carrier)), "set the carrier")
        except PermissionError as error:
            raise DeviceError(f"{self._name}: no queue is attached, so there is no carrier", error.errno) from error

    @property
    def persistent(self) -> bool:
        return bool(self._flags() & IFF_PERSIST)

    @persistent.setter
    def persistent(self, persistent: bool) -> None:
        self._order(TUNSETPERSIST, int(bool(persistent)), "set persistent")

    @property
    def owner(self) -> int | None:
        return self._info().owner

    @owner.setter
    def owner(self, uid: int) -> None:
        _check("owner", uid, 0, 2**32 - 2, self._name)
        self._order(TUNSETOWNER, signed(uid), f"set owner {uid}", NOT_MAPPED)

    @property
    def owner_group(self) -> int | None:
        return self._info().group

    @owner_group.setter
    def owner_group(self, gid: int) -> None:
        _check("owner group", gid, 0, 2**32 - 2, self._name)
        self._order(TUNSETGROUP, signed(gid), f"set owner group {gid}", NOT_MAPPED)

    @property
    def link_type(self) -> int:
        return self._link().type

    @link_type.setter
    def link_type(self, number: int) -> None:
        _check("link type", number, 0, 2**16 - 1, self._name)  # the kernel would keep the low 16 bits
        self._order(TUNSETLINK, number, f"set link type {number}", {errno.EBUSY: "the interface is up, set it down"})

    @property
    def vnet_header_size(self) -> int:
        size = self._get(TUNGETVNETHDRSZ, "tell its vnet header")
        return size if self._file.granted & IFF_VNET_HDR else 0

    @property
    def offload(self) -> frozenset[str]:
        self._check_alive()
        return self._port.offload

    @offload.setter
    def offload(self, features: Iterable[str]) -> None:
        self._check_alive()
        offloading = self._file.offloading
        wanted = check_offload(features)
        if offloading is None:
            allowed, switch = allowed_offload(OFFLOAD)
            if switch and not allowed:  # and it would have been opened with offload, for all we know
                return
            raise DeviceError(f"{self._name}: was opened without offload", errno.EINVAL)
        try:
            offloading.switch(self._file.fd, wanted)
        except OSError as error:
            raise self._refused(error, "switch its offload") from error

    @property
    def features(self) -> frozenset[str]:
        return flag_names(self._get(TUNGETFEATURES, "tell its features"))

    # --- which packets come out, and where --------------------------------------------------------

    def filter_addresses(self, addresses: Iterable[str | bytes], *, all_multicast: bool = False) -> None:
        from ..packet import parse_mac

        self._check_alive()
        if not self._file.granted & IFF_TAP:
            raise DeviceError(f"{self._name}: a tun has no addresses of hardware to filter by", errno.EINVAL)
        octets = [parse_mac(address) for address in addresses]
        self._order(TUNSETTXFILTER, address_filter(self._name, octets, all_multicast=all_multicast), "set the filter")

    def steer(self, program: bytes | int | None) -> None:
        self._set_program(TUNSETSTEERINGEBPF, program)

    def filter(self, program: bytes | int | None) -> None:
        self._set_program(TUNSETFILTEREBPF, program)

    def open_namespace(self) -> int:
        try:
            return self._order(TUNGETDEVNETNS, 0, "open its namespace")
        except PermissionError as error:
            what = f"{self._name}: not allowed to open its network namespace; it takes CAP_NET_ADMIN there"
            raise PermissionError(error.errno, what) from error

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._port.name

    def _check_alive(self) -> None:
        if self._file.fd == -1:
            raise DeviceClosed(f"{self._name}: the endpoint is closed")

    def _flags(self) -> int:
        self._check_alive()
        try:
            return self._file.interface()[1]
        except OSError as error:
            raise self._refused(error, "be asked") from error

    def _link(self) -> Link:
        self._check_alive()
        try:
            link = self._file.query()
        except OSError as error:
            raise self._refused(error, "be asked") from error
        if link.tun is None:  # told by ioctls, which do not know
            raise DeviceError(f"{self._name}: cannot be asked: there is no netlink", errno.EOPNOTSUPP)
        return link

    def _info(self) -> TunInfo:
        info = self._link().tun
        assert info is not None
        return info

    def _get(self, request: int, doing: str) -> int:
        answer = bytearray(INT.size)
        self._order(request, answer, doing)
        number: int = INT.unpack(answer)[0]
        return number

    def _order(
        self, request: int, argument: int | bytes | bytearray, doing: str, reasons: dict[int, str] | None = None
    ) -> int:
        """Ask the driver, and return its answer. *reasons* has what an errno means for this request in particular."""
        self._check_alive()
        try:
            answer = fcntl.ioctl(self._file.fd, request, argument)
        except OSError as error:
            reason = (reasons or {}).get(error.errno or 0)
            if reason is not None:
                raise DeviceError(f"{self._name}: cannot {doing}: {reason}", error.errno) from error
            raise self._refused(error, doing) from error
        return answer if isinstance(answer, int) else 0

    def _set_queue(self, flag: int, doing: str) -> None:
        self._order(TUNSETQUEUE, IFREQ.pack(b"", flag), doing)

    def _set_program(self, request: int, program: bytes | int | None) -> None:
        self._check_alive()
        if isinstance(program, bytes):
            fd = load_program(self._name, program)
            try:
                self._set_program(request, fd)
            finally:
                os.close(fd)
            return
        if not (program is None or isinstance(program, int)):
            raise TypeError(f"{self._name}: a program is bytes or a descriptor, not {type(program).__name__}")
        if program is not None:
            _check("descriptor", program, 0, 2**31 - 1, self._name)  # to the kernel -1 is None
        descriptor = NO_PROGRAM if program is None else program
        reason = f"descriptor {descriptor} is not a BPF program of type socket filter"
        self._order(request, INT.pack(descriptor), "set the program", {errno.EBADF: reason, errno.EINVAL: reason})

    def _refused(self, error: OSError, doing: str) -> OSError:
        """Return what a refused request means for the device."""
        if isinstance(error, PermissionError):
            return PermissionError(error.errno, f"{self._name}: not allowed to {doing}; it takes CAP_NET_ADMIN")
        if not self._file.alive():
            return DeviceGone(f"{self._name}: the interface was deleted", error.errno)
        return device_error(error, f"{self._name}: cannot {doing}: {error.strerror}")


def _check(what: str, number: int, lowest: int, highest: int, name: str) -> None:
    if not isinstance(number, int):
        raise TypeError(f"{name}: {what} is a number, not {type(number).__name__}")
    if not lowest <= number <= highest:
        raise ValueError(f"{name}: {what} is {lowest} to {highest}, not {number}")
