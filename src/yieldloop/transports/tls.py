"""The TLS transport that programs see: an `asyncio.Transport` over a `TlsLayer`.

What lives here: the interface, word for word, and the checks of arguments. What may not: anything that decides (``tlslayer.py``).
"""

from __future__ import annotations

import warnings
from asyncio import constants, sslproto
from typing import Any

from yieldloop.engine._leaf import Attributed
from yieldloop.transports.tlslayer import HIGH, TlsLayer
from yieldloop.wire.flow import water_marks

_FALLBACK = constants._SendfileMode.FALLBACK  # a file has to be encrypted, so the kernel cannot send it
_Transport = sslproto._SSLProtocolTransport  # an asyncio.Transport that is known as one of TLS by its name


class TlsTransport(Attributed):
    """An `asyncio.Transport` whose bytes go through TLS. Made with its layer; `connection_made` comes after the handshake.

    TLS has no half-closed connection: `can_write_eof` is False, and after `close`, or the peer's close, both sides are done.
    """

    __slots__ = (
        "__weakref__",
        "_closed",  # close() or abort() was called, here or by the layer's end: no warning when this is collected
        "_layer",
    )

    _start_tls_compatible = True
    _sendfile_compatible = _FALLBACK

    def __init__(self, layer: TlsLayer) -> None:
        self._closed = False
        self._layer = layer
        layer._face = self

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(transport, asyncio.Transport) holds, as for the standard library's
        return _Transport

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Encrypt and send *data* (bytes, bytearray, memoryview), which the caller may change afterwards. Never blocks."""
        if type(data) is not bytes:
            data = _as_bytes_like(data)
        if len(data):
            self._layer.write(data)

    def writelines(self, list_of_data: Any) -> None:
        """`write` of every item, leaving in as few records and system calls as there can be."""
        self._layer.write_all([piece for piece in [_as_bytes_like(data) for data in list_of_data] if len(piece)])

    def write_eof(self) -> None:
        """NotImplementedError: see the class."""
        raise NotImplementedError("TLS cannot close one direction alone: use close(), or agree on an end in your protocol")

    def can_write_eof(self) -> bool:
        """False."""
        return False

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """`pause_writing` is called when more than *high* bytes are queued, `resume_writing` when no more than *low* are.

        Defaults: 512 KiB and a quarter of *high*. ValueError unless high >= low >= 0.
        """
        high, low = water_marks(high, low, HIGH)
        self._layer.set_marks(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return self._layer.marks()

    def get_write_buffer_size(self) -> int:
        """Bytes written and not encrypted yet: the transport below is full, or the present step is not over."""
        return self._layer.waiting()

    @property
    def _protocol_paused(self) -> bool:  # the fallback of loop.sendfile asks
        return self._layer.protocol_paused()

    # --- reading -------------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """False after `pause_reading`."""
        return not self._layer._paused

    def pause_reading(self) -> None:
        """Tell the protocol of nothing that arrives, until `resume_reading`. No effect if paused or closing."""
        self._layer.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        self._layer.resume_reading()

    # --- ending --------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """True from `close` or `abort` on, and once the peer has closed."""
        return self._closed or self._layer._state in ("flushing", "closing", "closed")

    def close(self) -> None:
        """Send what is queued, say goodbye (close_notify), wait for the peer's, for ssl_shutdown_timeout seconds at most.

        Nothing more is received; `connection_lost` follows, with TimeoutError if the peer said nothing. During
        the handshake: as `abort`. No effect the second time.
        """
        self._closed = True
        self._layer.close()

    def abort(self) -> None:
        """Close now; what is queued is dropped, and no goodbye is said. `connection_lost(None)` follows."""
        self._force_close(None)

    def _force_close(self, exc: Any) -> None:
        self._closed = True
        self._layer.abort(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self._closed = True
        self._layer._fatal_error(exc, message)

    def __del__(self) -> None:
        if not self._closed and self._layer._state != "closed":
            self._closed = True
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=1, source=self)

    # --- asking --------------------------------------------------------------------------------------------------------

    def get_protocol(self) -> Any:
        """The protocol, or None once the connection is lost."""
        return self._layer._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Tell *protocol* from now on; its `connection_made` is not called."""
        self._layer._take_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``sslcontext``; after the handshake ``ssl_object``, ``peercert``, ``cipher``, ``compression``; else what is below."""
        return self._layer.extra_info(name, default)

    @property
    def _loop(self) -> Any:
        return self._layer._loop

    @property
    def _protocol(self) -> Any:
        return self._layer._protocol

    @property
    def _ssl_protocol(self) -> TlsLayer:  # the standard library's name for it, which programs use
        return self._layer

    def statistics(self) -> dict[str, Any]:
        """The layer's state, and the bytes that wait."""
        return self._layer.statistics()

    def __repr__(self) -> str:
        return f"<TlsTransport {self._layer._state} over {self._layer._lower!r}>"


def make_tls(
    loop: Any, protocol: Any, sslcontext: Any, waiter: Any, server_side: bool = False, server_hostname: Any = None,
    made: bool = False, handshake_timeout: Any = None, shutdown_timeout: Any = None, context: Any = None,
) -> Any:  # fmt: skip
    """(layer, transport): the protocol for a transport below, and the transport for *protocol*. Arguments: `TlsLayer`'s."""
    layer = TlsLayer(
        loop, protocol, sslcontext, waiter, server_side, server_hostname, made, handshake_timeout, shutdown_timeout, context
    )
    return layer, TlsTransport(layer)


def _as_bytes_like(data: Any) -> Any:
    """*data* as something whose ``len`` is its number of bytes."""
    if isinstance(data, (bytes, bytearray)):
        return data
    if isinstance(data, memoryview):
        return data if data.format == "B" and data.ndim == 1 and data.contiguous else memoryview(bytes(data))
    raise TypeError(f"data: expecting a bytes-like instance, got {type(data).__name__}")
