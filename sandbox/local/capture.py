"""What the code prints: read as it comes, kept within bounds, available also when the code never ends."""

import asyncio
import codecs
import os

from sandbox.inside.bounds import cut, without_addresses

MAX_BYTES = 32 << 20
"""The most bytes that one call may print; beyond, the session is ended, so that a flood cannot keep us busy."""
CHUNK = 1 << 16
"""How many bytes are read at once."""


class Capture:
    """One pipe's output since the last `take`, at most `limit` characters of its beginning and of its end."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._loop = asyncio.get_running_loop()
        self._reset()
        self._loop.add_reader(descriptor, self._read)

    def _reset(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._head, self._tail, self._characters, self.bytes = "", "", 0, 0

    def _feed(self, data: bytes, final: bool = False) -> None:
        text = self._decoder.decode(data, final)
        self.bytes += len(data)
        self._characters += len(text)
        room = 2 * self._limit - len(self._head)  # enough to show, once addresses are shortened
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-self._limit :]

    def _read(self) -> bool:
        """Read once; False when there is nothing (more) to read."""
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._descriptor)
            return False
        if self.bytes <= MAX_BYTES:
            self._feed(data)
        else:
            self.bytes += len(data)
            self._loop.remove_reader(self._descriptor)  # a flood waits in its pipe for its end
        return True

    @property
    def flooded(self) -> bool:
        return self.bytes > MAX_BYTES

    def take(self) -> str:
        """All that has been written since the last time, without the addresses of objects."""
        while not self.flooded and self._read():
            pass
        self._feed(b"", final=True)
        hidden = self._characters - len(self._head) - len(self._tail)
        if not hidden:
            text = cut(without_addresses(self._head + self._tail), self._limit)
        else:
            head = self._limit * 2 // 3
            lost = self._characters - self._limit
            first, last = without_addresses(self._head)[:head], without_addresses(self._tail)[head - self._limit :]
            text = f"{first}\n[... {lost} characters cut ...]\n{last}"
        self._reset()
        return text

    def close(self) -> None:
        """Read no more. Its owner closes the descriptor."""
        self._loop.remove_reader(self._descriptor)
