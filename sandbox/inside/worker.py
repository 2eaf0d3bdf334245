"""The last part of a session: reads cells, runs them in one namespace, answers. Standard library only.

Everything in its process is in the hands of the code it runs; the supervisor therefore believes none of its answers
without checking them.

Frames, both ways: two big-endian 32-bit lengths (JSON, bytes), the JSON object, the bytes. The object's `blobs` says
how the bytes divide. The first frame holds the images, then the files, whose names are its `files`; its `seed` is the
session's, or null.
"""

import ast
import contextlib
import io
import json
import linecache
import os
import sys
import traceback
import types
import warnings

import chance
from bounds import cut, without_addresses
from pictures import SavedImages
from screen import screen


class Channel:
    """The protocol, on a descriptor of its own that no child inherits."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._file = io.FileIO(descriptor, "r+")

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._file.read(min(count - len(data), 1 << 20))
            if not part:
                os._exit(0)  # the supervisor is gone
            data += part
        return bytes(data)

    def receive(self) -> tuple[dict, list[bytes]]:
        lengths = self._exactly(8)
        head = json.loads(self._exactly(int.from_bytes(lengths[:4], "big")))
        blobs = [self._exactly(size) for size in head["blobs"]]
        return head, blobs

    def send(self, head: dict, blobs: list[bytes]) -> None:
        text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
        sizes = len(text).to_bytes(4, "big") + sum(map(len, blobs)).to_bytes(4, "big")
        data = memoryview(sizes + text + b"".join(blobs))
        while data:
            data = data[self._file.write(data) :]


def user_frames(error: BaseException) -> str:
    """The traceback with the frames of the cells alone, so that it says the same on every machine."""

    def trim(part: traceback.TracebackException) -> None:
        part.stack[:] = [frame for frame in part.stack if frame.filename.startswith("<cell ")]
        for other in [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or [])]:
            if other is not None:
                trim(other)

    report = traceback.TracebackException.from_exception(error, compact=True)
    trim(report)
    return without_addresses("".join(report.format()))


class Cells:
    """One namespace, and the cells that run in it."""

    def __init__(self, images: list[bytes]) -> None:
        module = types.ModuleType("__main__")  # so that what cells define can be pickled, as in a script
        sys.modules["__main__"] = module
        self.names = module.__dict__
        self.saved = SavedImages()
        self.names.update(display=screen.display, exit=sys.exit, quit=sys.exit)
        if images:
            from PIL import Image

            for number, data in enumerate(images, 1):
                self.names[f"image_{number}"] = Image.open(io.BytesIO(data))  # decoded at first use

    def run(self, code: str, number: int, images: int, limit: int) -> tuple[dict, list[bytes]]:
        name = f"<cell {number}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        pictures = screen.begin(images)
        value, failure = "", None
        try:
            value = self._execute(code, name)
        except SystemExit as error:
            failure = error if error.code not in (None, 0) else None
        except BaseException as error:
            failure = error
        undrawn = pictures.show_open()  # so that no figure of this cell meets the next one
        failure = undrawn if failure is None else failure
        outcome = "ok" if failure is None else "out_of_memory" if isinstance(failure, MemoryError) else "raised"
        error_text = "" if failure is None else user_frames(failure)
        failure = undrawn = None  # with them go the frames of the cell, and what these hold
        with contextlib.suppress(MemoryError):
            pictures.take_saved(self.saved.new())
        pictures.finish()
        answer = {"outcome": outcome, "value": cut(value, limit), "error": cut(error_text, limit)}
        return {**answer, "notes": pictures.notes}, pictures.blobs

    def _execute(self, code: str, name: str) -> str:
        """Run the code as it is; the text of its last expression's value, as a notebook shows it."""
        tree = compile(code, name, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";"):
            last = ast.Expression(tree.body.pop().value)
        exec(compile(tree, name, "exec", dont_inherit=True), self.names)
        value = None
        if last is not None:
            value = eval(compile(last, name, "eval", dont_inherit=True), self.names)
        return "" if value is None or screen.pictures.take(value) else without_addresses(repr(value))


def prepare() -> None:
    """What is the same for every session: done once, before any is forked."""
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    screen.connect()


def write_files(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)


def serve(descriptor: int) -> None:
    """Take the session's images and files, then run cells until the supervisor goes."""
    channel = Channel(descriptor)
    start, blobs = channel.receive()
    chance.begin(start["seed"])
    count = len(blobs) - len(start["files"])
    write_files(dict(zip(start["files"], blobs[count:], strict=True)))
    out, err, pid, flush, leave = sys.stdout, sys.stderr, os.getpid(), io.TextIOWrapper.flush, os._exit
    getpid = os.getpid
    cells = Cells(blobs[:count])
    del blobs
    channel.send({"ready": True}, [])
    while True:
        request, _ = channel.receive()
        sys.stdout, sys.stderr = out, err
        answer, pictures = cells.run(request["code"], request["cell"], request["images"], request["limit"])
        for stream in (out, err):
            with contextlib.suppress(OSError, ValueError):  # the cell closed it
                flush(stream)
        if getpid() != pid:
            leave(0)  # a child that the cell forked has come to the cell's end
        channel.send({**answer, "id": request["id"]}, pictures)
