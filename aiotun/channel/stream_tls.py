"""TLS around a framing, without any I/O."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence

from ..errors import DeviceGone
from .stream_framing import Framing, StreamBroken

__all__ = ["TlsFraming", "checked_context"]

RECORD = 1 << 16
"""Bytes asked of the TLS layer at once; it gives a record, of up to 16384 (RFC 8446 section 5.1)."""


def checked_context(context: ssl.SSLContext, *, server: bool) -> ssl.SSLContext:
    """
    Return *context*, if it is one for that end.

    Raises:
        TypeError: If it is no context.
        ValueError: If it is for the other end.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl is an ssl.SSLContext{' with a certificate' if server else ''}, not {context!r}")
    if context.protocol == (ssl.PROTOCOL_TLS_CLIENT if server else ssl.PROTOCOL_TLS_SERVER):
        end, other, purpose = ("listens", "client", "CLIENT_AUTH") if server else ("connects", "server", "SERVER_AUTH")
        made = f"ssl.create_default_context(ssl.Purpose.{purpose})"
        raise ValueError(f"ssl is a {other}'s context, but this end {end}: make one by {made}")
    return context


class TlsFraming(Framing):
    """
    A framing inside TLS: bytes on the wire are records, what they hold is the inner framing's stream.

    Over ssl.MemoryBIO, so that it reads and writes like the plain one, and the socket stays ours. An end of the
    connection that TLS did not announce (close_notify) may be somebody else's doing, and is StreamBroken.
    """

    established = False

    def __init__(
        self, name: str, inner: Framing, context: ssl.SSLContext, *, server: bool, server_hostname: str | None = None
    ) -> None:
        self._name = name
        self._inner = inner
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=server_hostname)
        self._shaken = False
        self._closed = False  # by the peer's close_notify
        self._broken: StreamBroken | None = None

    @property
    def tls(self) -> ssl.SSLObject:
        """What was agreed on, and the peer's certificate."""
        return self._tls

    def feed(self, chunk: bytes) -> None:
        if self._broken is not None or self._closed:
            return
        self._in.write(chunk)
        texts: list[bytes] = []
        try:
            self._shake()
            while not self._closed:
                texts.append(self._tls.read(RECORD))
                self._closed = not texts[-1]  # close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._closed = True
        except ssl.SSLError as error:
            self._broken = self._failed(error)
        if text := b"".join(texts):
            self._inner.feed(text)
        self.established = self._shaken and self._inner.established

    def take(self, limit: int) -> list[bytes]:
        batch = self._inner.take(limit)
        if not batch and not self._inner.ready:
            if self._broken is not None:
                raise self._broken
            if self._closed:
                raise self._inner.ended()
        return batch

    @property
    def held(self) -> int:
        return self._inner.held + self._in.pending

    @property
    def ready(self) -> bool:
        return self._inner.ready or self._closed or self._broken is not None

    def encode(self, batch: Sequence[bytes]) -> bytes:
        return self._encrypt(self._inner.encode(batch))

    def answer(self) -> bytes:
        if self._broken is None and not self._shaken:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._shake()
        return self._encrypt(self._inner.answer()) if self._shaken else self._out.read()

    def finish(self) -> bytes:
        if not self._shaken or self._broken is not None:
            return self._out.read()  # an alert, if TLS has one to send
        with contextlib.suppress(ssl.SSLError):
            self._tls.write(self._inner.finish())
            self._tls.unwrap()  # the peer's close_notify is not waited for: RFC 8446 section 6.1
        return self._out.read()

    def ended(self) -> DeviceGone:
        if self._broken is not None:
            return self._broken
        if self._closed:
            return self._inner.ended()
        when = "without an end of TLS (close_notify)" if self._shaken else "in the middle of the TLS handshake"
        return StreamBroken(f"{self._name}: the connection ended {when}")

    def _shake(self) -> None:
        if not self._shaken:
            self._tls.do_handshake()
            self._shaken = True

    def _encrypt(self, text: bytes) -> bytes:
        if text:
            try:
                self._tls.write(text)
            except ssl.SSLError as error:
                raise self._failed(error) from error
        return self._out.read()

    def _failed(self, error: ssl.SSLError) -> StreamBroken:
        what = (error.reason or str(error)).replace("_", " ").lower()
        why = getattr(error, "verify_message", "")
        broken = StreamBroken(f"{self._name}: TLS failed: {what}" + (f": {why}" if why else ""))
        broken.__cause__ = error
        return broken
