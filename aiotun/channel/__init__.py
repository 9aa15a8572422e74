"""What a VPN carries packets over; each is an Endpoint too."""

from .channel import Channel
from .memory import MemoryChannel, memory_pair
from .memory_impairment import Impairment
from .memory_wire import WireStatistics
from .stream import StreamChannel
from .stream_adopting import adopt_stream, adopt_streams, open_stream_pair
from .stream_framing import StreamBroken
from .stream_listening import serve_stream, serve_unix
from .stream_opening import open_stream, open_unix
from .stream_serving import StreamServer
from .stream_socket import StreamOptions
from .udp import UdpChannel, UdpPort
from .udp_demux import Arrival
from .udp_opening import open_udp, open_udp_pair, serve_udp
from .udp_options import UdpOptions
from .udp_peer import UdpPeer
from .udp_server import UdpServer
from .udp_statistics import UdpStatistics
from .websocket import open_websocket, serve_websocket

__all__ = [
    "Arrival",
    "Channel",
    "Impairment",
    "MemoryChannel",
    "StreamBroken",
    "StreamChannel",
    "StreamOptions",
    "StreamServer",
    "UdpChannel",
    "UdpOptions",
    "UdpPeer",
    "UdpPort",
    "UdpServer",
    "UdpStatistics",
    "WireStatistics",
    "adopt_stream",
    "adopt_streams",
    "memory_pair",
    "open_stream",
    "open_stream_pair",
    "open_udp",
    "open_udp_pair",
    "open_unix",
    "open_websocket",
    "serve_stream",
    "serve_udp",
    "serve_unix",
    "serve_websocket",
]
