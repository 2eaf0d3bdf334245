"""One folder of files on any fsspec file system: whole files written at once, listed as they are now, read in parts."""

import io
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

PARQUET = ".parquet"
_FETCH_WHOLE = 4 * 2**20  # bytes: a remote file up to this size comes in one request, a larger one page by page


class _Source(io.RawIOBase):
    """A segment's bytes for pyarrow, which keeps the store's own error apart from what damaged bytes make it raise."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], close: Callable[[], None] = lambda: None) -> None:
        self._size, self._fetch, self._close, self._position = size, fetch, close, 0
        self.error: Exception | None = None

    def close(self) -> None:
        if not self.closed:  # twice, and another file may have the number by then
            self._close()
            super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._position + size, self._size)
        if end <= self._position:
            return b""
        try:
            got = self._fetch(self._position, end)
        except Exception as error:
            self.error = error
            raise
        self._position += len(got)
        return got


class SegmentStore:
    """The segments' folder on its file system: files appear whole, and listings are never stale."""

    def __init__(self, root: str) -> None:
        self._fs, path = fsspec.url_to_fs(root)
        self._root = path.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)
        self.threads = 4 if self._local else 16  # how many requests at a time: a network's take longer than a disk's
        self._fs.makedirs(self._root, exist_ok=True)
        self._sizes: dict[str, int] = {}

    def path(self, name: str) -> str:
        """Where the segment `name` lies, as its file system writes it."""
        return f"{self._root}/{name}"

    @contextmanager
    def new(self, name: str) -> Iterator[BinaryIO]:
        """A file to write; it is the visible segment `name` once the block has ended, and nothing if it raised."""
        path = self.path(name)
        if not self._local:
            buffer = io.BytesIO()
            yield buffer
            self._fs.pipe_file(path, buffer.getvalue())
            return
        temporary = f"{path}.tmp"
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        folder = os.open(self._root, os.O_RDONLY)  # the rename itself must be on the disk too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files of the folder; one that is gone already is as good."""

        def one(name: str) -> None:
            with suppress(FileNotFoundError):
                self._fs.rm_file(self.path(name))

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(one, names))

    def sizes(self) -> dict[str, int]:
        """Bytes of each visible segment, in name order."""
        sizes = self.files(PARQUET)
        if self._local:
            for name in list(sizes):
                try:
                    sizes[name] = os.stat(self.path(name)).st_size
                except FileNotFoundError:
                    del sizes[name]
        return dict(sorted(sizes.items()))

    def leftovers(self, age: float) -> list[str]:
        """Files that killed writers left more than `age` seconds ago, by name."""
        old = []
        for name in self.files(f"{PARQUET}.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - self._fs.modified(self.path(name)).timestamp() > age:
                    old.append(name)
        return old

    def files(self, ending: str) -> dict[str, int]:
        """Name and size (local: 0, as it would cost a call each) of the files that end so."""
        if self._local:
            with os.scandir(self._root) as entries:
                return {entry.name: 0 for entry in entries if entry.name.endswith(ending) and entry.is_file()}
        self._fs.invalidate_cache(self._root)  # s3fs and its like remember listings
        try:
            found = self._fs.ls(self._root, detail=True, refresh=True)
        except FileNotFoundError:  # an object store has no empty folders
            found = []
        self._sizes = {item["name"].rsplit("/", 1)[1]: item["size"] for item in found if item["type"] == "file"}
        return {name: size for name, size in self._sizes.items() if name.endswith(ending)}

    def source(self, name: str) -> _Source:
        """The file's bytes. FileNotFoundError: it is not there any more."""
        path = self.path(name)
        if self._local:
            fd = os.open(path, os.O_RDONLY)
            return _Source(os.fstat(fd).st_size, lambda a, b: os.pread(fd, b - a, a), lambda: os.close(fd))
        size = self._sizes.get(name)
        if size is None and (size := self.files(PARQUET).get(name)) is None:
            raise FileNotFoundError(path)
        if 0 < size <= _FETCH_WHOLE:
            whole = self._fs.cat_file(path, start=0, end=size)
            return _Source(len(whole), lambda start, end: whole[start:end])
        return _Source(size, lambda start, end: self._fs.cat_file(path, start=start, end=end))

    def set_aside(self, name: str) -> str | None:
        """Move the file to the folder `set_aside` and return its path there; None: another process has just done it."""
        folder, path = f"{self._root}/set_aside", self.path(name)
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.invalidate_cache(folder)
        aside = f"{folder}/{name}"
        if self._fs.exists(aside):
            aside = f"{folder}/{uuid.uuid4().hex[:8]}-{name}"
        try:
            if self._local:
                os.replace(path, aside)
            else:
                self._fs.cp_file(path, aside)
                self._fs.rm_file(path)
        except FileNotFoundError:
            return None
        return aside
