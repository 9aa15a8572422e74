"""The media an Ethernet interface can be set to, as words of bits: NetBSD's ifmedia."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import attrs

from ..errors import DeviceError

__all__ = [
    "IFM_1000_T",
    "IFM_100_TX",
    "IFM_10_T",
    "IFM_ACTIVE",
    "IFM_AUTO",
    "IFM_AVALID",
    "IFM_ETHER",
    "IFM_FDX",
    "IFM_FLOW",
    "IFM_HDX",
    "IFM_LOOP",
    "IFM_MANUAL",
    "IFM_NONE",
    "Media",
    "MediaStatus",
    "media_name",
    "tap_media",
]

# NetBSD sys/net/if_media.h: type, subtypes, options and status bits.
IFM_ETHER = 0x20
IFM_AUTO = 0
IFM_MANUAL = 1
IFM_NONE = 2
IFM_10_T = 3
IFM_100_TX = 6
IFM_1000_T = 16
IFM_FDX = 0x00100000
IFM_HDX = 0x00200000
IFM_FLOW = 0x00400000
IFM_LOOP = 0x08000000
IFM_AVALID = 1
IFM_ACTIVE = 2

_TMASK = 0x1F
_SUBTYPES = {
    IFM_AUTO: "autoselect",
    IFM_MANUAL: "manual",
    IFM_NONE: "none",
    IFM_10_T: "10baseT",
    IFM_100_TX: "100baseTX",
    IFM_1000_T: "1000baseT",
}
_OPTIONS = {IFM_FDX: "full-duplex", IFM_HDX: "half-duplex", IFM_FLOW: "flowcontrol", IFM_LOOP: "loopback"}


def media_name(word: int) -> str:
    """Return a media word as text: ``1000baseT <full-duplex>``."""
    subtype = _SUBTYPES.get(word & _TMASK, f"subtype {word & _TMASK}")
    options = ",".join(name for bit, name in _OPTIONS.items() if word & bit)
    return f"{subtype} <{options}>" if options else subtype


@attrs.frozen(kw_only=True)
class MediaStatus:
    """What SIOCGIFMEDIA answers: struct ifmediareq as a value."""

    current: int
    """The word that was asked for last."""
    active: int
    """The word in use."""
    status: int = 0
    """``IFM_AVALID`` and ``IFM_ACTIVE``, in a driver that tells."""
    supported: tuple[int, ...] = ()
    """Every word there is to choose from."""


class Media:
    """
    The media of one interface, and which is selected.

    Modelled on struct ifmedia in NetBSD sys/net/if_media.h.
    """

    # The words are a tuple, so that interfaces of one kind share it until one adds to it.
    __slots__ = ("_changed", "current", "name", "supported")

    def __init__(
        self, name: str, supported: Sequence[int], current: int, changed: Callable[[int], None] | None = None
    ) -> None:
        self.name = name
        self.supported = tuple(supported)
        self._changed = changed  # the driver's mediachange(): raises what it cannot do
        self.set(current)

    def add(self, word: int) -> None:
        """Add a word to choose from. Modelled on ifmedia_add()."""
        if word not in self.supported:
            self.supported += (word,)

    def set(self, word: int) -> None:
        """Select a word without telling the driver; raise like change(). Modelled on ifmedia_set()."""
        if word not in self.supported:
            names = ", ".join(map(media_name, self.supported))
            raise DeviceError(f"{self.name}: no medium {media_name(word)} (0x{word:x}); it has {names}", errno.ENXIO)
        self.current = word

    def change(self, word: int) -> None:
        """
        Select a word and tell the driver; if it refuses, the medium stays what it was.

        Raises:
            DeviceError: With ENXIO, if the interface has no such medium.

        Modelled on SIOCSIFMEDIA in ifmedia_ioctl().
        """
        before = self.current
        self.set(word)
        # Selecting the same again asks nothing of the driver, but looking for a medium starts anew.
        if self._changed is None or (word == before and word & _TMASK != IFM_AUTO):
            return
        try:
            self._changed(word)
        except BaseException:
            self.current = before
            raise

    def status(self, bits: int = 0) -> MediaStatus:
        """Return what is selected, with the driver's status bits. Modelled on SIOCGIFMEDIA in ifmedia_ioctl()."""
        return MediaStatus(current=self.current, active=self.current, status=bits, supported=self.supported)


_TAP_WORDS = (
    *(IFM_ETHER | subtype | duplex for subtype in (IFM_1000_T, IFM_100_TX, IFM_10_T) for duplex in (0, IFM_FDX)),
    IFM_ETHER | IFM_AUTO,
)


def tap_media(name: str, changed: Callable[[int], None] | None = None) -> Media:
    """Return the media of the tap called *name*: seven, autoselect selected. Modelled on tap_attach()."""
    return Media(name, _TAP_WORDS, IFM_ETHER | IFM_AUTO, changed)
