"""
A VPN between two namespaces over veth, every packet sealed with ChaCha20-Poly1305: how much TCP goes through it?

examples/udp_vpn.py, without busy polling and with it, OpenVPN (without its kernel module) and, to compare,
wireguard-go carry one iperf3 stream and pings, in turn. One process on each side; wireguard-go's has threads, and may
use all CPUs. Needs root, iproute2, iperf3, ping and openvpn, and takes wireguard-go and wg where they are::

    python benchmarks/vpn.py

All traffic stays in namespaces made here, and they go when the benchmark ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import functools
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from udp_tunnel import HERE, INNER, MTU, OUTER, PORT, SIDES, cpu_seconds, favour, inside, lab, measure, ratios

VARIANTS = ("aiotun", "aiotun, busy poll", "OpenVPN", "wireguard-go")
CORES = "cores taken meanwhile, of both sides"
FIGURES = ("Gbit/s", "CPU seconds for each GB", "ping alone, p50 in ms", CORES, "ping beside the stream, p50 in ms")
BUSY = 10.0
"""Milliseconds that a side with busy polling stays awake: more than from one ping to the next."""

Start = Callable[[str, str, Path], list[str]]
"""Returns what runs a side, given its name, the other's, and a directory with its keys."""


# --- the programs -------------------------------------------------------------------------------------------


def aiotun(side: str, other: str, keys: Path, *, busy_poll: float = 0.0) -> list[str]:
    where = str(keys / "vpn.key"), f"{INNER[side]}/24", OUTER[other]
    return [sys.executable, __file__, "--side", *where, str(busy_poll)]


def run_side(key: str, address: str, peer: str, busy_poll: str) -> None:
    """Be one side of the example, on uvloop if it is there."""
    sys.path[:0] = [str(HERE.parent / "examples")]
    import udp_vpn

    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    where = {"address": address, "port": PORT, "peer": peer, "peer_port": PORT, "netns": None}
    asyncio.run(udp_vpn.main(argparse.Namespace(key=Path(key), busy_poll=float(busy_poll), **where)))


def openvpn(side: str, other: str, keys: Path) -> list[str]:
    role = ["--tls-server", "--dh", "none"] if side == "left" else ["--tls-client"]
    return [
        *("openvpn", "--dev", "vpn0", "--dev-type", "tun", "--proto", "udp", "--disable-dco", "--fast-io"),
        *("--local", OUTER[side], "--remote", OUTER[other], "--port", str(PORT)),
        *("--ifconfig", INNER[side], INNER[other], "--tun-mtu", str(MTU), "--mssfix", "0", "--txqueuelen", "1000"),
        *("--sndbuf", str(4 << 20), "--rcvbuf", str(4 << 20)),
        *("--cipher", "CHACHA20-POLY1305", "--data-ciphers", "CHACHA20-POLY1305"),
        *("--cert", str(keys / f"{side}.crt"), "--key", str(keys / f"{side}.key")),
        *("--peer-fingerprint", (keys / f"{other}.fingerprint").read_text(), *role),
    ]


def wireguard(side: str, other: str, keys: Path) -> list[str]:
    peer = f"peer {(keys / f'{other}.public').read_text()} endpoint {OUTER[other]}:{PORT} allowed-ips {INNER[other]}"
    name = f"vpn-{side}"  # by which wg finds it, in whatever namespace
    configure = f"wg set {name} listen-port {PORT} private-key {keys / f'{side}.private'} {peer}"
    address = f"ip address add {INNER[side]}/24 dev {name} && ip link set {name} up mtu {MTU}"
    wait = f"until wg show {name} 2>&1; do sleep 0.05; done"
    return ["sh", "-c", f"({wait}; {configure} && {address}) & exec wireguard-go -f {name}"]


PROGRAMS: Mapping[str, tuple[Start, str]] = {
    "aiotun": (aiotun, "ip"),
    "aiotun, busy poll": (functools.partial(aiotun, busy_poll=BUSY), "ip"),
    "OpenVPN": (openvpn, "openvpn"),
    "wireguard-go": (wireguard, "wireguard-go"),
}
"""What starts each, and what has to be installed for it."""


def make_keys(keys: Path) -> None:
    """Write the keys of all programs."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    (keys / "vpn.key").write_text(os.urandom(32).hex())
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    for side in SIDES:
        if shutil.which("wg"):
            private = subprocess.run(["wg", "genkey"], check=True, capture_output=True).stdout
            public = subprocess.run(["wg", "pubkey"], check=True, capture_output=True, input=private).stdout
            (keys / f"{side}.private").write_bytes(private)
            (keys / f"{side}.public").write_bytes(public.strip())
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, side)])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .sign(key, hashes.SHA256())
        )
        (keys / f"{side}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (keys / f"{side}.fingerprint").write_text(certificate.fingerprint(hashes.SHA256()).hex(":"))
        form = serialization.PrivateFormat.PKCS8
        (keys / f"{side}.key").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        )


# --- measuring ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def vpn(names: dict[str, str], start: Start, keys: Path) -> Iterator[list[int]]:
    """Run one program on both sides, ahead of the machine's other work, until the block ends; give the processes."""
    with contextlib.ExitStack() as undo:
        log = undo.enter_context(tempfile.TemporaryFile("w+"))
        programs = []
        for side, other in (SIDES, SIDES[::-1]):
            program = undo.enter_context(
                subprocess.Popen(
                    ["nice", "-n", "-20", *inside(names[side], *start(side, other, keys))],
                    start_new_session=True,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"PYTHONPATH": str(HERE.parent)},
                )
            )
            undo.callback(program.terminate)
            favour(program.pid)
            programs.append(program)
        wait(names, programs, log)
        yield [program.pid for program in programs]


def wait(names: dict[str, str], programs: list[subprocess.Popen[bytes]], log: IO[str]) -> None:
    """Wait until a ping comes through; raise what the programs said if none does."""
    ping = inside(names["left"], "ping", "-c", "1", "-W", "0.2", "-q", INNER["right"])
    for _ in range(150):
        if not subprocess.run(ping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            return
        if any(program.poll() is not None for program in programs):
            break
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError("The programs said:\n" + log.read())


def pinging(names: dict[str, str], count: int, interval: float) -> subprocess.Popen[str]:
    """Start pinging through the VPN."""
    command = inside(names["left"], "ping", "-c", str(count), "-i", str(interval), INNER["right"])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def p50(ping: subprocess.Popen[str]) -> float:
    """Wait for a ping to end, and return the median of the round trip times in ms."""
    output, _ = ping.communicate()
    return statistics.median(float(one) for one in re.findall(r"time=([\d.]+)", output))


def main(options: argparse.Namespace) -> None:
    runs = {name: PROGRAMS[name][0] for name in options.variants if shutil.which(PROGRAMS[name][1])}
    found: dict[str, dict[str, list[float]]] = {what: {name: [] for name in runs} for what in FIGURES}
    with tempfile.TemporaryDirectory() as directory, lab() as names:
        keys = Path(directory)
        make_keys(keys)
        for number in range(options.rounds):
            for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
                with vpn(names, runs[name], keys) as processes:
                    began, before = time.monotonic(), cpu_seconds(processes)
                    alone = p50(pinging(names, options.pings, 0.005))
                    cores = (cpu_seconds(processes) - before) / (time.monotonic() - began)
                    beside = pinging(names, options.seconds * 50, 0.02)
                    speed, cost = measure(names, options.seconds, processes)
                    for what, figure in zip(FIGURES, (speed, cost, alone, cores, p50(beside)), strict=True):
                        found[what][name].append(figure)
    print((__doc__ or "").strip().splitlines()[0])
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    print(f"{options.rounds} rounds of {options.seconds} s each, in turn; load {os.getloadavg()[0]:.1f}\n")
    for what, figures in found.items():
        print(f"{what:38}{'median':>10}{'times OpenVPN':>24}")
        reference = figures.get("OpenVPN") if what != CORES else None  # its few ticks are nothing to divide by
        for name, each in figures.items():
            print(f"  {name:36}{statistics.median(each):10.3g}{ratios(each, reference):>24}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="seconds that iperf3 counts")
    parser.add_argument("--pings", type=int, default=300, help="while nothing else goes")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        run_side(*sys.argv[2:])
    elif os.geteuid() != 0:
        sys.exit("the benchmark makes network namespaces: run it as root")
    else:
        main(arguments())
