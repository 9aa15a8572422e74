"""What no endpoint sends, told before anything was sent."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both

from aiotun.endpoint.fitness import all_fit, check_types, is_unfinished, refuse_superpacket
from aiotun.errors import PacketError
from aiotun.packet import GSOType, SuperPacket


def test_a_batch_that_is_no_sequence_is_refused_by_the_name_of_its_type() -> None:
    """What is no sequence is no batch, and the error names its type."""
    with pytest.raises(TypeError, match="tun0: a batch is a list of packets, not generator"):
        check_types("tun0", (packet for packet in [b"one"]))


def test_a_packet_that_can_change_after_it_was_sent_is_refused() -> None:
    """A buffer that may change after it was sent is no packet."""
    with pytest.raises(TypeError, match="tun0: a packet is bytes, not bytearray"):
        check_types("tun0", [b"one", bytearray(b"two")])


def test_a_batch_of_bytes_is_taken() -> None:
    """Bytes are packets, and so is what is derived from them."""
    check_types("tun0", [b"one", SuperPacket(b"two")])


def test_a_super_packet_to_cut_is_unfinished() -> None:
    """A super-packet that is to be cut lacks something."""
    assert is_unfinished(SuperPacket(bytes(100), gso_type=GSOType.TCPV4, hdr_len=40, gso_size=20))


def test_a_super_packet_that_lacks_its_checksum_is_unfinished() -> None:
    """So does one whose checksum is to be finished."""
    assert is_unfinished(SuperPacket(bytes(100), needs_csum=True, csum_start=20, csum_offset=16))


@pytest.mark.parametrize("packet", [b"plain", SuperPacket(b"whole")], ids=["bytes", "nothing to do"])
def test_a_packet_that_lacks_nothing_is_finished(packet: bytes) -> None:
    """Plain bytes lack nothing, nor does a super-packet that says nothing of itself."""
    assert not is_unfinished(packet)


def test_a_refused_super_packet_says_what_to_send_instead() -> None:
    """The error names what makes packets of a super-packet."""
    with pytest.raises(PacketError, match=r"tun0: a super-packet is not taken here; send what offload.segment\(\)"):
        refuse_superpacket("tun0")


# --- all at a glance ------------------------------------------------------------------------------

AllFit = Callable[[Sequence[bytes], int, int, bool], bool]

superpackets = st.builds(
    lambda size, first, **fields: SuperPacket(bytes([first]) * size, **fields),
    st.integers(0, 300) | st.integers(0, 66000),
    st.sampled_from([0x45, 0x60, 0x50, 0xF0]),
    gso_type=st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84, 0x85, 0x21, 0x45, 2, -1]) | st.integers(-1, 0x1FFFF),
    gso_size=st.sampled_from([0, 1, 8, 1400, 0xFFFF]) | st.integers(-1, 0x10001),
    hdr_len=st.sampled_from([0, 13, 14, 28, 40, 54]) | st.integers(0, 400),
    csum_start=st.sampled_from([0, 14, 20, 34, 40, 54]) | st.integers(0, 400),
    csum_offset=st.sampled_from([6, 16]) | st.integers(0, 20),
    needs_csum=st.booleans(),
)


def looked_at(packet: bytes, least: int, most: int, ethernet: bool) -> bool:
    """Say of one packet, by the long way, whether it is fit."""
    if not isinstance(packet, SuperPacket) or not is_unfinished(packet):
        return least <= len(packet) <= most
    try:
        packet.check(ethernet)
    except PacketError:
        return False
    return packet.longest_segment <= most


@both(all_fit)
@given(
    packet=superpackets | st.binary(max_size=60), most=st.sampled_from([40, 300, 1500, 65535]), ethernet=st.booleans()
)
def test_a_batch_fits_if_its_packet_does(form: AllFit, packet: bytes, most: int, ethernet: bool) -> None:
    """At a glance a packet is fit if it is by the long way, whatever its fields say."""
    assert form([packet], 20, most, ethernet) is looked_at(packet, 20, most, ethernet)


@both(all_fit)
def test_a_batch_fits_if_every_packet_does(form: AllFit) -> None:
    """Plain packets and super-packets may be in one batch."""
    sound = SuperPacket(bytes([0x45]) * 3000, GSOType.TCPV4, 1000, 40, 20, 16, True)
    assert form([sound, bytes(100), sound], 20, 1500, False)


@both(all_fit)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_batch_does_not_fit_if_one_packet_does_not(form: AllFit, place: int) -> None:
    """One packet that is not fit is found wherever it stands."""
    batch = [bytes(100), bytes(100)]
    batch.insert(place, SuperPacket(bytes(3000), GSOType.TCPV4, 0, 40, 20, 16, True))
    assert not form(batch, 20, 1500, False)


@both(all_fit)
def test_what_is_no_bytes_is_worth_a_look_of_its_own(form: AllFit) -> None:
    """What is no bytes is not fit at a glance."""
    assert not form([bytearray(100)], 20, 1500, False)  # type: ignore[list-item]


@both(all_fit)
def test_a_super_packet_in_a_tunnel_is_looked_at_too(form: AllFit) -> None:
    """A sound super-packet in a tunnel is fit."""
    fields = {"gso_size": 1000, "csum_start": 70, "csum_offset": 16, "needs_csum": True}
    packet = SuperPacket(bytes([0x45]) * 3000, 0x21, outer_th_offset=20, inner_nh_offset=50, **fields)  # type: ignore[arg-type]
    packet.check()
    assert form([packet], 20, 1500, False)
