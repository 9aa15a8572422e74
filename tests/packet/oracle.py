"""
Scapy, as an independent judge of bytes on the wire.

Imported here alone, since its imports warn; and untyped, since it is.
"""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import scapy.layers.inet
    import scapy.layers.inet6
    import scapy.layers.l2
    import scapy.packet

__all__ = ["Raw", "inet", "inet6", "l2"]

inet: Any = scapy.layers.inet
inet6: Any = scapy.layers.inet6
l2: Any = scapy.layers.l2
Raw: Any = scapy.packet.Raw
