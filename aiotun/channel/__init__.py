"""What a VPN carries packets over; each is an Endpoint too."""

from .udp import UdpChannel, UdpPort
from .udp_opening import open_udp, open_udp_pair

__all__ = ["UdpChannel", "UdpPort", "open_udp", "open_udp_pair"]
