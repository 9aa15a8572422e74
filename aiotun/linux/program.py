"""
Loading a BPF program: bytecode to a descriptor, and why the verifier would not have it.

The one system call of bpf(2) that is needed here, BPF_PROG_LOAD of BPF_PROG_TYPE_SOCKET_FILTER, through ctypes, which
is loaded late. Whoever has a compiler and libbpf gives aiotun a descriptor instead.
"""

from __future__ import annotations

import errno
import os
import platform
import struct

from ..errors import DeviceError, device_error

__all__ = ["load_program"]

BPF_PROG_LOAD = 5
BPF_PROG_TYPE_SOCKET_FILTER = 1  # Linux include/uapi/linux/bpf.h

# The head of union bpf_attr for BPF_PROG_LOAD: type, instructions, their address, the licence's, log level, log size,
# the log's address.
LOAD = struct.Struct("=IIQQIIQ")

INSTRUCTION = 8
"""Bytes of struct bpf_insn."""

LICENSE = b"GPL\0"
"""What the kernel asks of a program before it may call most helpers."""

LOG_SIZE = 1 << 16

# __NR_bpf by machine: the tables in Linux arch/*/, and include/uapi/asm-generic/unistd.h.
SYSTEM_CALL = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
    "s390x": 351,
    "armv7l": 386,
    "i686": 357,
}

NEEDS_RIGHT = (
    "it takes CAP_BPF, or root: `sysctl kernel.unprivileged_bpf_disabled` says whether anybody else may; "
    "a privileged process can load the program and pass its descriptor"
)


def load_program(name: str, bytecode: bytes) -> int:
    """
    Return a descriptor of the program whose eBPF instructions are *bytecode*; the caller's. Takes up to a millisecond.

    Raises:
        ValueError: If it is no whole number of instructions.
        PermissionError: If this process may not load programs.
        DeviceError: If the kernel's verifier refuses it; the text has the verifier's log.
    """
    if not bytecode or len(bytecode) % INSTRUCTION:
        raise ValueError(f"{name}: a program is {INSTRUCTION} bytes an instruction, not {len(bytecode)} bytes")
    try:
        return _load(bytecode)[0]
    except PermissionError as error:
        if error.errno == errno.EPERM:
            raise PermissionError(errno.EPERM, f"{name}: not allowed to load a BPF program; {NEEDS_RIGHT}") from error
        raise _refused(name, bytecode, error) from error  # EACCES is the verifier's word for a forbidden access
    except OSError as error:
        raise _refused(name, bytecode, error) from error


def _refused(name: str, bytecode: bytes, error: OSError) -> DeviceError:
    """Ask again, for the log: the verifier writes it only for who asks, and takes five times as long."""
    log = ""
    try:
        fd, log = _load(bytecode, LOG_SIZE)
        os.close(fd)
    except OSError as again:
        log = str(again.strerror)
    return device_error(error, f"{name}: the kernel refused the BPF program: {log.strip()}")


def _load(bytecode: bytes, log_size: int = 0) -> tuple[int, str]:
    import ctypes

    number = SYSTEM_CALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no bytecode can be loaded on {platform.machine()}, only descriptors are taken")
    program, license, log = (ctypes.create_string_buffer(some) for some in (bytecode, LICENSE, log_size + 1))
    addresses = [ctypes.addressof(buffer) for buffer in (program, license, log)]
    count = len(bytecode) // INSTRUCTION
    asked = (1, log_size, addresses[2]) if log_size else (0, 0, 0)
    attributes = ctypes.create_string_buffer(LOAD.pack(BPF_PROG_TYPE_SOCKET_FILTER, count, *addresses[:2], *asked))
    fd: int = ctypes.CDLL(None, use_errno=True).syscall(number, BPF_PROG_LOAD, attributes, LOAD.size)
    told = log.value.decode("utf-8", "replace")
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)}\n{told}")
    return fd, told
