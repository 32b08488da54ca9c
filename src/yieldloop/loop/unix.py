"""Unix stream sockets: connections and servers named by a path.

What lives here: paths, socket files and whose they are. What may not: bytes (``transports/tcp``, which serves any stream socket),
accepting (``net``).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.loop.net import NetMixin, _check_tls_timeouts
from yieldloop.loop.paths import inode_of, remove_own_socket, remove_stale_socket
from yieldloop.loop.server import Server

skip_globals(globals())


class UnixMixin(NetMixin):
    """Stream connections over Unix sockets."""

    def __init__(self, *args: Any) -> None:
        self._unix_server_sockets: dict[Any, int] = {}
        super().__init__(*args)

    async def create_unix_connection(
        self, protocol_factory: Any, path: Any = None, *, ssl: Any = None, sock: Any = None, server_hostname: Any = None,
        ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None,
    ) -> Any:  # fmt: skip
        """Connect to the socket at *path* (text, bytes or a path object; abstract if it begins with a zero), or take *sock*.

        Signature of Python 3.14. Returns (transport, protocol). OSError of the connect. A cancellation point.
        """
        assert server_hostname is None or isinstance(server_hostname, str)
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        if not ssl and server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        _check_tls_timeouts(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        ours = sock is None
        if path is not None:
            if not ours:
                raise ValueError("path and sock can not be specified at the same time")
            sock = await self._connect_to_path(os.fspath(path))
        elif ours:
            raise ValueError("no path and sock were specified")
        else:
            _check_unix_sock(sock)
        return await self._transport_for(
            sock, protocol_factory, ssl, server_hostname, False, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    async def _connect_to_path(self, path: Any) -> Any:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self.sock_connect(sock, path)
            return sock
        except BaseException:
            sock.close()
            raise

    async def create_unix_server(  # type: ignore[override]
        self, protocol_factory: Any, path: Any = None, *, sock: Any = None, backlog: int = 100, ssl: Any = None,
        ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None, start_serving: bool = True,
        cleanup_socket: bool = True,
    ) -> Server:  # fmt: skip
        """Listen at *path* (as in `create_unix_connection`), or on *sock*. Signature of Python 3.14.

        A socket file that is there already is removed first; with *cleanup_socket* ours is removed when the server closes,
        unless another one has taken its place by then. OSError if the path cannot be bound.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        _check_tls_timeouts(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bind_path(os.fspath(path))
        elif sock is None:
            raise ValueError("path was not specified, and no sock specified")
        else:
            _check_unix_sock(sock)
        if cleanup_socket:
            inode = inode_of(sock.getsockname())
            if inode:
                self._unix_server_sockets[sock] = inode
        sock.setblocking(False)
        server = self._make_server(protocol_factory, [sock], backlog, ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if start_serving:
            try:
                server._start_serving()
            except BaseException:
                server.close()
                raise
            await asyncio.sleep(0)  # a turn of the loop, as in the standard library
        if self._debug:
            logger.info("%r is serving", server)
        return server

    def _stop_serving(self, sock: Any) -> None:
        inode = self._unix_server_sockets.pop(sock, 0)
        path = sock.getsockname() if inode and sock.fileno() >= 0 else None
        super()._stop_serving(sock)
        if path:
            remove_own_socket(path, inode)


def _bind_path(path: Any) -> Any:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path:
            remove_stale_socket(path)
        sock.bind(path)
        return sock
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise


def _check_unix_sock(sock: Any) -> None:
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
