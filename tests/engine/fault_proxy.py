"""A proxy between the SDK and the engine that goes wrong on demand.

Guarantees: without an order it passes every request and answer on unchanged; an order fits requests by the end of their address
and is used up as often as it says, in the order in which orders were given; what was done is in ``log``.

    with fault_proxy(engine.base_url) as proxy:
        proxy.fail(500, "forward_backward", times=2)     # answers by itself, the engine never hears of it
        proxy.reset("optim_step")                        # closes the connection before the engine hears of it
        proxy.lose("optim_step")                         # lets the engine do it, then closes the connection
        proxy.pause("retrieve_future", times=3)          # "try again": the server is busy with others
        proxy.hold("asample", seconds=2.0)               # passes it on late
        proxy.end_session()                              # ends the client's session behind its back
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import httpx

Kind = Literal["answer", "reset", "lose", "hold"]


@dataclass(slots=True)
class Order:
    """One thing that shall go wrong."""

    kind: Kind
    path: str
    times: int
    status: int = 0
    body: bytes = b""
    headers: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Message:
    """One HTTP message: its first line and headers, and its body."""

    head: bytes
    body: bytes

    @property
    def first(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode().split(" ")


@dataclass(slots=True)
class FaultProxy:
    """What goes wrong between a client and ``target``. Orders may be given from any thread."""

    target: str
    port: int = 0
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sessions: list[str] = field(default_factory=list[str])
    key: str = ""
    _orders: list[Order] = field(default_factory=list[Order])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each thing was done to each address."""
        return Counter(self.log)

    def fail(self, status: int, path: str, *, times: int = 1, headers: str = "") -> None:
        self._add(Order("answer", path, times, status, b'{"detail": "The proxy says no."}', headers))

    def pause(self, path: str = "retrieve_future", *, times: int = 1, reason: str = "others are served first") -> None:
        body = {"type": "try_again", "request_id": "x", "queue_state": "paused_capacity", "queue_state_reason": reason}
        self._add(Order("answer", path, times, 408, json.dumps(body).encode()))

    def reset(self, path: str, *, times: int = 1) -> None:
        self._add(Order("reset", path, times))

    def lose(self, path: str, *, times: int = 1) -> None:
        self._add(Order("lose", path, times))

    def hold(self, path: str, *, seconds: float, times: int = 1) -> None:
        self._add(Order("hold", path, times, seconds=seconds))

    def heal(self) -> None:
        """Forget every order."""
        with self._lock:
            self._orders.clear()

    def end_session(self) -> None:
        """End the newest session that was opened through the proxy."""
        httpx.post(
            f"{self.target}/api/v1/sessions/{self.sessions[-1]}/finish", headers={"X-API-Key": self.key}
        ).raise_for_status()

    def _add(self, order: Order) -> None:
        with self._lock:
            self._orders.append(order)

    def _take(self, path: str) -> Order | None:
        with self._lock:
            for order in self._orders:
                if path.endswith(order.path):
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                    return order
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, request after request."""
        address = urlsplit(self.target)
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (request := await _read(reader)) is not None:
                path = request.first[1].split("?")[0]
                order = self._take(path)
                self.log.append((order.kind if order else "pass", path.rsplit("/", 1)[-1]))
                if order is not None and order.kind == "answer":
                    await _write(writer, _answer(order))
                    continue
                if order is not None and order.kind == "reset":
                    writer.transport.abort()
                    return
                if order is not None and order.kind == "hold":
                    await asyncio.sleep(order.seconds)
                if upstream is None:
                    upstream = await asyncio.open_connection(address.hostname, address.port)
                await _write(upstream[1], request)
                answer = await _read(upstream[0])
                if answer is None or (order is not None and order.kind == "lose"):
                    writer.transport.abort()
                    return
                self._learn(request, path, answer)
                await _write(writer, answer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            for end in (writer, *([upstream[1]] if upstream else [])):
                end.close()

    def _learn(self, request: Message, path: str, answer: Message) -> None:
        if path.endswith("create_session"):
            self.sessions.append(json.loads(answer.body)["session_id"])
            self.key = next(
                line.split(b":", 1)[1].strip().decode()
                for line in request.head.split(b"\r\n")
                if line.lower().startswith(b"x-api-key:")
            )


def _answer(order: Order) -> Message:
    head = (
        f"HTTP/1.1 {order.status} Fault\r\ncontent-type: application/json\r\n{order.headers}content-length: {len(order.body)}"
    )
    return Message(head.encode(), order.body)


async def _read(reader: asyncio.StreamReader) -> Message | None:
    """The next message of a connection, ``None`` when the other side is done."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.IncompleteReadError:
        return None
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return Message(head, await reader.readexactly(lengths[0]) if lengths else b"")


async def _write(writer: asyncio.StreamWriter, message: Message) -> None:
    writer.write(message.head + b"\r\n\r\n" + message.body)
    await writer.drain()


@contextlib.contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """A proxy in front of ``target`` for as long as the block runs."""
    proxy = FaultProxy(target)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=2**26))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(_end, loop)
        thread.join(timeout=10)
        server.close()
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    closing = asyncio.gather(*tasks, return_exceptions=True)
    closing.add_done_callback(lambda _: loop.stop())
