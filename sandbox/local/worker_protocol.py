"""The supervisor's end of the worker's protocol (worker.py describes it). Everything read here is hostile."""

import asyncio
import json
import socket
import struct
from typing import Any

MAX_JSON = 1 << 20
"""The most bytes of an answer's JSON, beside its texts. Reading more than an honest answer has keeps us busy."""
MAX_BLOBS = 64 << 20
"""The most bytes of an answer's images together."""


class WorkerGone(Exception):
    """The other end is closed: the worker has ended."""


class Hostile(Exception):
    """What came is not an answer of our worker: code in its process writes to the protocol."""


async def send(channel: socket.socket, head: dict[str, Any], blobs: list[bytes]) -> None:
    """Send one frame. Raises WorkerGone."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(channel, struct.pack(">II", len(text), sum(map(len, blobs))) + text)
        for blob in blobs:
            await loop.sock_sendall(channel, blob)
    except (BrokenPipeError, ConnectionError):
        raise WorkerGone from None


async def _exactly(channel: socket.socket, count: int) -> bytes:
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < count:
        try:
            part = await loop.sock_recv(channel, min(count - len(data), 1 << 18))
        except ConnectionError:
            part = b""
        if not part:
            raise WorkerGone
        data += part
    return bytes(data)


async def receive(channel: socket.socket, text_chars: int = 0) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one frame, whose texts have at most `text_chars` characters. Raises WorkerGone, Hostile."""
    text_size, blob_size = struct.unpack(">II", await _exactly(channel, 8))
    if text_size > MAX_JSON + 6 * text_chars or blob_size > MAX_BLOBS:
        raise Hostile(f"a frame of {text_size} + {blob_size} bytes")
    try:
        head = json.loads(await _exactly(channel, text_size))
    except (ValueError, RecursionError):
        raise Hostile("a frame that is no JSON") from None
    sizes = head.get("blobs") if isinstance(head, dict) else None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise Hostile("a frame without the sizes of its parts")
    if sum(sizes) != blob_size:
        raise Hostile("a frame whose sizes do not add up")
    return head, [await _exactly(channel, size) for size in sizes]


def unasked(channel: socket.socket) -> bool:
    """Whether something has arrived that nobody asked for. The end of the stream does not count."""
    try:
        return bool(channel.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
