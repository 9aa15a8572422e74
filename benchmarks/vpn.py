"""
A VPN between two namespaces over veth, every packet sealed with ChaCha20-Poly1305: how much TCP goes through it?

examples/udp_vpn.py, OpenVPN (without its kernel module) and, to compare, wireguard-go carry one iperf3 stream and
pings, in turn. One process on each side; wireguard-go's has threads, and may use all CPUs. Needs root, iproute2,
iperf3, ping and openvpn, and takes wireguard-go and wg where they are::

    python benchmarks/vpn.py

All traffic stays in namespaces made here, and they go when the benchmark ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
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

from udp_tunnel import HERE, INNER, MTU, OUTER, PORT, SIDES, cpu_seconds, favour, inside, ip, lab, measure, ratios

VARIANTS = ("aiotun", "OpenVPN", "wireguard-go")
LOGS = "The programs said:\n"

Start = Callable[[str, str, Path], list[str]]
"""Returns what runs a side, given its name, the other's, and a directory with its keys."""


# --- the programs -------------------------------------------------------------------------------------------


def aiotun(side: str, other: str, keys: Path) -> list[str]:
    ends = f"{OUTER[side]}:{PORT}", f"{OUTER[other]}:{PORT}"
    return [sys.executable, __file__, "--side", str(keys / "vpn.key"), f"{INNER[side]}/24", *ends]


def run_side(arguments: list[str]) -> None:
    """Be one side of the example, on uvloop if it is there."""
    sys.path[:0] = [str(HERE.parent / "examples")]
    sys.argv[1:] = arguments
    import udp_vpn

    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(udp_vpn.main(udp_vpn.arguments()))


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


def wait(names: dict[str, str], programs: list[subprocess.Popen[bytes]], log: object) -> None:
    """Wait until a ping comes through; raise what the programs said if none does."""
    ping = inside(names["left"], "ping", "-c", "1", "-W", "0.2", "-q", INNER["right"])
    for _ in range(150):
        if not subprocess.run(ping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            return
        if any(program.poll() is not None for program in programs):
            break
        time.sleep(0.1)
    log.seek(0)  # type: ignore[attr-defined]
    raise RuntimeError(LOGS + log.read())  # type: ignore[attr-defined]


def ping_p50(names: dict[str, str], count: int) -> float:
    """Return the median round trip time of pings through the VPN while nothing else goes, in ms."""
    command = inside(names["left"], "ping", "-c", str(count), "-i", "0.005", INNER["right"])
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return statistics.median(float(one) for one in re.findall(r"time=([\d.]+)", output))


def main(options: argparse.Namespace) -> None:
    runs = {name: PROGRAMS[name][0] for name in options.variants if shutil.which(PROGRAMS[name][1])}
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    costs: dict[str, list[float]] = {name: [] for name in runs}
    pings: dict[str, list[float]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as directory, lab() as names:
        keys = Path(directory)
        make_keys(keys)
        for number in range(options.rounds):
            for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
                with vpn(names, runs[name], keys) as processes:
                    pings[name].append(ping_p50(names, options.pings))
                    speed, cost = measure(names, options.seconds, processes)
                speeds[name].append(speed)
                costs[name].append(cost)
    print((__doc__ or "").strip().splitlines()[0])
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    print(f"{options.rounds} rounds of {options.seconds:g} s each, in turn; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':14}{'Gbit/s':>8}{'times OpenVPN':>22}{'CPU s/GB':>10}{'of OpenVPN':>22}{'ping ms':>9}{'of OpenVPN':>22}")
    for name in runs:
        print(
            f"{name:14}{statistics.median(speeds[name]):8.2f}{ratios(speeds[name], speeds.get('OpenVPN')):>22}"
            f"{statistics.median(costs[name]):10.2f}{ratios(costs[name], costs.get('OpenVPN')):>22}"
            f"{statistics.median(pings[name]):9.3f}{ratios(pings[name], pings.get('OpenVPN')):>22}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds that iperf3 counts")
    parser.add_argument("--pings", type=int, default=300)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        run_side(sys.argv[2:])
    elif os.geteuid() != 0:
        sys.exit("the benchmark makes network namespaces: run it as root")
    else:
        main(arguments())
