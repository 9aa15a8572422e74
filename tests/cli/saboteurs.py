"""Tunnels with a fault in them, for proof that the demo notices."""

from __future__ import annotations

from collections.abc import Sequence

from aiotun.cli.tunnel import Tunnel


class SwallowsSealed(Tunnel):
    """Loses the first packet it should seal, and says nothing."""

    swallowed = False

    def seal(self, batch: Sequence[bytes]) -> list[bytes]:
        sealed = super().seal(batch)
        if not self.swallowed:
            self.swallowed = True
            del sealed[0]
        return sealed


class SwallowsUnsealed(Tunnel):
    """Loses the first packet it unsealed, and says nothing."""

    swallowed = False

    def unseal(self, batch: Sequence[bytes]) -> list[bytes]:
        packets = super().unseal(batch)
        if not self.swallowed and packets:
            self.swallowed = True
            del packets[0]
        return packets


class Damages(Tunnel):
    """Corrupts the first datagram it should send."""

    damaged = False

    def seal(self, batch: Sequence[bytes]) -> list[bytes]:
        sealed = super().seal(batch)
        if not self.damaged:
            self.damaged = True
            sealed[0] = sealed[0][:-1] + bytes([sealed[0][-1] ^ 1])
        return sealed
