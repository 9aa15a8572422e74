"""The capture: what it says it wrote, and what scapy and tshark read in the files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether, Loopback
from scapy.packet import Packet
from scapy.utils import rdpcap

from .program import finished, printed_by, run

REQUEST, REPLY = 8, 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the example once, and give the folder it wrote to."""
    made = tmp_path_factory.mktemp("captured")
    printed_by("bpf_capture.py", f"--folder={made}")
    return made


@pytest.fixture(scope="module")
def tshark(pytestconfig: pytest.Config) -> str:
    """Return tshark's path; without it a run that must test everything fails, and another skips."""
    found = shutil.which("tshark")
    if found is None:
        if pytestconfig.getoption("--require-kernel"):
            pytest.fail("--require-kernel: tshark is not installed", pytrace=False)
        pytest.skip("tshark is not installed")
    return found


def pings(packets: list[Packet]) -> list[tuple[str, str, int]]:
    """Return source, destination and ICMP type of each packet."""
    return [(packet.payload.src, packet.payload.dst, packet[ICMP].type) for packet in packets]


def test_says_what_it_wrote(tmp_path: Path) -> None:
    """It prints a round trip time for each address, and each file with its number of packets."""
    lines = printed_by("bpf_capture.py", f"--folder={tmp_path}")
    assert [re.sub(r"\d+\.\d+ ms", "N ms", line) for line in lines] == [
        "10.8.0.2: answered after N ms",
        "10.9.0.2: answered after N ms",
        f"{tmp_path}/tap0.pcap: 4 packets",
        f"{tmp_path}/tun0.pcap: 2 packets",
    ]


def test_the_tun_shows_the_ping_behind_its_family(folder: Path) -> None:
    """Of the tun, scapy reads an echo request and its reply with a family in front."""
    packets = list(rdpcap(str(folder / "tun0.pcap")))
    assert [type(packet) for packet in packets] == [Loopback, Loopback]
    assert pings(packets) == [("10.8.0.1", "10.8.0.2", REQUEST), ("10.8.0.2", "10.8.0.1", REPLY)]


def test_the_tap_shows_the_question_before_the_ping(folder: Path) -> None:
    """Of the tap, scapy reads an ARP question, its answer, an echo request and its reply, as Ethernet frames."""
    packets = list(rdpcap(str(folder / "tap0.pcap")))
    assert [type(packet) for packet in packets] == [Ether] * 4
    assert [(arp.op, arp.psrc, arp.pdst) for arp in (packet[ARP] for packet in packets[:2])] == [
        (1, "10.9.0.1", "10.9.0.2"),
        (2, "10.9.0.2", "10.9.0.1"),
    ]
    assert packets[1][ARP].hwsrc == "f2:0b:a4:00:00:02"
    assert pings(packets[2:]) == [("10.9.0.1", "10.9.0.2", REQUEST), ("10.9.0.2", "10.9.0.1", REPLY)]


@pytest.mark.parametrize(
    "file, protocols",
    [
        ("tun0.pcap", ["null:ip:icmp:data"] * 2),
        ("tap0.pcap", ["eth:ethertype:arp"] * 2 + ["eth:ethertype:ip:icmp:data"] * 2),
    ],
)
def test_tshark_reads_every_packet(folder: Path, tshark: str, file: str, protocols: list[str]) -> None:
    """Wireshark's own dissectors understand every packet to the end."""
    output = run(tshark, "-r", str(folder / file), "-T", "fields", "-e", "frame.protocols")
    assert output.splitlines() == protocols


@pytest.mark.parametrize("file", ["tun0.pcap", "tap0.pcap"])
def test_tshark_finds_nothing_wrong(folder: Path, tshark: str, file: str) -> None:
    """No packet is malformed, and no checksum wrong, as far as Wireshark can tell."""
    wrong = '_ws.malformed || ip.checksum.status == "Bad" || icmp.checksum.status == "Bad"'
    assert run(tshark, "-r", str(folder / file), "-o", "ip.check_checksum:TRUE", "-Y", wrong) == ""


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Where it cannot write, it ends with the file's name and no traceback."""
    done = finished("bpf_capture.py", f"--folder={tmp_path / 'none'}")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "none" / "tun0.pcap") in done.stderr
