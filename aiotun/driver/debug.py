"""The tun driver's debug switch: what it does, told to the log."""

from __future__ import annotations

import logging

__all__ = ["Debug"]

logger = logging.getLogger("aiotun.driver")


class Debug:
    """
    ``debug.if_tun_debug``: off while its level is 0. One for all the tuns of a host.

    Modelled on tundebug and TUNDEBUG in DragonFly if_tun.c.
    """

    __slots__ = ("level",)

    def __init__(self) -> None:
        self.level = 0

    def __call__(self, name: str, message: str) -> None:
        """Tell the log what the interface called *name* does, if the switch is on."""
        if self.level:
            logger.debug("%s: %s", name, message)
