"""One WebSocket client on picows: whole messages, handed on within the callback that read them.

picows reads and writes frames (RFC 6455); what it leaves to its user is done here: fragments are put together within a
bound, reserved bits are refused, a close is answered, and nothing is heard after the end. No extension is offered, so
no message can be compressed, and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from logging import CRITICAL, getLogger

from aiohappyeyeballs import start_connection
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    ws_connect,
)

from aether.kraken.rest import USER_AGENT
from aether.kraken.strict_json import FRAME_BYTES_MAX

TEXT, BINARY, CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
CLOSE_WITHOUT_CODE, CLOSE_ABNORMAL = 1005, 1006  # RFC 6455, section 7.4.1: a close frame without one; none at all
PARTS_MAX = 1024
FAREWELL_S = 1.0  # so long a closing socket may write what it still holds
SECOND_ADDRESS_S = 0.25  # RFC 8305: a host's next address is tried beside the first after so long

_SILENT = getLogger("picows.silent")
_SILENT.setLevel(CRITICAL + 1)  # what picows would say is why the link ended, and that is told by who connects

Hear = Callable[[bytes], None]


class BadFrame(ConnectionError):
    """The peer broke the protocol, or sent more than is believed."""


class Socket(WSListener):
    """An open WebSocket. What comes before `hear` is kept for it, so that nothing is lost after the handshake."""

    def __init__(self) -> None:
        self.close_code = CLOSE_ABNORMAL
        self.messages = 0
        self._transport: WSTransport | None = None
        self._early: list[bytes] = []
        self._hear: Hear = self._early.append
        self._parts: list[bytes] = []  # of a message that is not whole yet
        self._parts_bytes = 0
        self._is_over = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._may_write = asyncio.Event()
        self._may_write.set()

    @property
    def was_opened(self) -> bool:
        """The handshake was done, though the link may have ended since."""
        return self._transport is not None

    async def hear(self, hear: Hear) -> None:
        """Hand on every message until the link ends. Raises what `hear` raised, or BadFrame; returns where it closed.

        Messages are handed on in order, each within the callback that read it: while one is taken, no other is read
        from the socket, which is all the holding back that there is.
        """
        try:
            self._hear = hear
            for message in self._early:
                hear(message)
            self._early.clear()
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            failure = self._over.exception() if self._over.done() else None
            raise failure or asyncio.CancelledError from None  # a defect is told, though the link ended with it
        finally:
            self._is_over = True
        if self._transport is not None and self._transport.is_disconnected:
            await _gone(self._transport)

    async def send(self, frame: bytes) -> None:
        """Write one text message; waits where the peer does not read. Raises ConnectionError where the link is gone."""
        await self._may_write.wait()
        if self._transport is None or self._is_over:
            raise ConnectionResetError("the socket is closed")
        self._transport.send(TEXT, frame)

    async def close(self) -> None:
        """Say farewell and let go; whatever still comes is not heard."""
        self._end(None)
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        with suppress(BadFrame):
            try:
                async with asyncio.timeout(FAREWELL_S):
                    await _gone(transport)
            except TimeoutError:
                transport.disconnect(graceful=False)
                await _gone(transport)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows: the handshake is done."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """picows: one frame is in."""
        if self._is_over or transport.is_close_frame_sent:  # picows closes where a frame cannot be read, and reads on
            return
        self.messages += 1
        try:
            if frame.msg_type is TEXT and frame.fin and not (self._parts or frame.rsv1 or frame.rsv2 or frame.rsv3):
                self._hear(frame.get_payload_as_bytes())
            else:
                self._take_other(transport, frame)
        except Exception as failure:  # noqa: BLE001 - picows would log and forget it; `hear` raises it
            self._end(failure)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """picows: the transport is closed."""
        self._end(None)

    def pause_writing(self) -> None:
        """picows: the peer does not read what was written."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """picows: it reads again."""
        self._may_write.set()

    def _take_other(self, transport: WSTransport, frame: WSFrame) -> None:
        """Fragments, binary messages, and what the protocol says besides; picows has answered pings already."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise BadFrame("a reserved bit is set")
        if kind is WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code().value) or CLOSE_WITHOUT_CODE
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            self._end(None)
        elif kind in (TEXT, BINARY, CONTINUATION):
            if (kind is CONTINUATION) != bool(self._parts):
                raise BadFrame("a fragment out of turn")
            self._take_part(frame.get_payload_as_bytes(), is_last=bool(frame.fin))

    def _take_part(self, part: bytes, *, is_last: bool) -> None:
        self._parts_bytes += len(part)
        if self._parts_bytes > FRAME_BYTES_MAX or len(self._parts) >= PARTS_MAX:
            raise BadFrame(f"a message of more than {FRAME_BYTES_MAX} bytes or {PARTS_MAX} fragments")
        self._parts.append(part)
        if is_last:
            message = b"".join(self._parts)
            self._parts.clear()
            self._parts_bytes = 0
            self._hear(message)

    def _end(self, failure: BaseException | None) -> None:
        self._is_over = True
        self._may_write.set()
        if self._over.done():
            return
        if failure is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(failure)


async def connect(url: str, tls: ssl.SSLContext, timeout_s: float) -> Socket:
    """Open a WebSocket; `wss` is verified by `tls`. Raises OSError, a time-out and a refused handshake too."""
    made = Socket()
    reached: list[socket.socket] = []

    async def reach(address: WSParsedURL) -> socket.socket:
        """As the system names the host's addresses, the next one beside the first where that is slow."""
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        try:
            reached.append(await start_connection(found, happy_eyeballs_delay=SECOND_ADDRESS_S))
        except RuntimeError as error:  # so uvloop may say that there is no connection
            raise ConnectionError(str(error)) from error
        return reached[0]

    try:
        async with asyncio.timeout(timeout_s):
            await ws_connect(
                lambda: made,
                url,
                ssl_context=tls,
                websocket_handshake_timeout=None,  # ours is over all
                max_frame_size=FRAME_BYTES_MAX,
                max_redirects=0,  # a token must not follow one to another address
                extra_headers={"User-Agent": USER_AGENT},
                socket_factory=reach,
                logger_name=_SILENT,
                use_aiofastnet=False,  # TLS is the standard library's, here as everywhere
            )
    except WSHandshakeError as error:
        status = f"answered with HTTP {error.response.status}" if error.response is not None else str(error)
        raise ConnectionError(status) from error
    except WSError as error:
        raise ConnectionError(str(error)) from error
    finally:
        if (
            not made.was_opened
        ):  # cancelled within a handshake, picows would keep the link: so it ends and is cleaned away
            for each in reached:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
    if not made.was_opened:
        raise ConnectionResetError("closed before the handshake")
    return made


async def _gone(transport: WSTransport) -> None:
    """Wait until the transport is closed. Raises BadFrame where picows closed it for that."""
    try:
        await transport.wait_disconnected()
    except WSError as error:
        raise BadFrame(str(error)) from error
