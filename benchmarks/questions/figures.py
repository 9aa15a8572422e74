"""The columns that several questions have."""

from __future__ import annotations

from rig.question import Column

PACKETS = Column("packets_per_second", "k packets/s", 0, 1e-3, ratio=True)
RATE = Column("gigabits_per_second", "Gb/s", 2, ratio=True)
CPU = Column("cpu_per_packet", "CPU s per million packets", 3, 1e6, ratio=True)
CPU_PER_BYTE = Column("cpu_per_byte", "CPU s per GB", 3, 1e9, ratio=True)
LOAD = Column("load", "CPU in use", 2)
P50 = Column("p50", "p50 µs", 1, ratio=True)
P99 = Column("p99", "p99 µs", 1, ratio=True)
