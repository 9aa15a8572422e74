"""What no endpoint sends, told before anything was sent."""

import pytest

from aiotun.endpoint.fitness import check_types, is_unfinished, refuse_superpacket
from aiotun.errors import PacketError
from aiotun.packet import GSOType, SuperPacket


def test_a_batch_that_is_no_sequence_is_refused_by_the_name_of_its_type() -> None:
    with pytest.raises(TypeError, match="tun0: a batch is a list of packets, not generator"):
        check_types("tun0", (packet for packet in [b"one"]))


def test_a_packet_that_can_change_after_it_was_sent_is_refused() -> None:
    with pytest.raises(TypeError, match="tun0: a packet is bytes, not bytearray"):
        check_types("tun0", [b"one", bytearray(b"two")])


def test_a_batch_of_bytes_is_taken() -> None:
    check_types("tun0", [b"one", SuperPacket(b"two")])


def test_a_super_packet_to_cut_is_unfinished() -> None:
    assert is_unfinished(SuperPacket(bytes(100), gso_type=GSOType.TCPV4, hdr_len=40, gso_size=20))


def test_a_super_packet_that_lacks_its_checksum_is_unfinished() -> None:
    assert is_unfinished(SuperPacket(bytes(100), needs_csum=True, csum_start=20, csum_offset=16))


@pytest.mark.parametrize("packet", [b"plain", SuperPacket(b"whole")], ids=["bytes", "nothing to do"])
def test_a_packet_that_lacks_nothing_is_finished(packet: bytes) -> None:
    assert not is_unfinished(packet)


def test_a_refused_super_packet_says_what_to_send_instead() -> None:
    with pytest.raises(PacketError, match=r"tun0: a super-packet is not taken here; send what offload.segment\(\)"):
        refuse_superpacket("tun0")
