"""The last part of a session: reads cells, runs them in one namespace, answers. Standard library only.

Everything in its process is in the hands of the code it runs; the supervisor therefore believes none of its answers
without checking them.

Frames, both ways: two big-endian 32-bit lengths (JSON, bytes), the JSON object, the bytes. The object's `blobs` says
how the bytes divide. The first frame holds the images, then the files, whose names are its `files`.
"""

import ast
import contextlib
import io
import json
import linecache
import os
import re
import stat
import sys
import traceback
import types
import warnings

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
MAX_PIXELS = 4_000_000
"""Of one result image; larger ones are shrunk to fit, and the answer says so."""
MAX_SAVED_BYTES = 32 << 20
MAX_NOTES = 100
IMAGE_FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FOLDER, MAX_ENTRIES, MAX_DEPTH = "/tmp", 2000, 3
"""Where saved images are looked for, among how many entries, how deep."""


def cut(text: str, limit: int) -> str:
    """`text` within `limit` characters, lone surrogates spelt out, its middle left out if need be, and saying so."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]}\n[... {len(text) - limit} characters cut ...]\n{text[len(text) - limit + head :]}"


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


class SavedImages:
    """The image files below the working folder, and which of them are new."""

    def __init__(self) -> None:
        self._known = self._look()

    def _look(self) -> dict[str, tuple]:
        found, todo, seen = {}, [(FOLDER, 1)], 0
        while todo and seen < MAX_ENTRIES:
            folder, depth = todo.pop()
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MAX_ENTRIES:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        own = not entry.name.startswith(".") and not os.path.ismount(entry.path)
                        if own and depth < MAX_DEPTH:
                            todo.append((entry.path, depth + 1))
                    elif entry.name.lower().endswith(IMAGE_FILES) and entry.is_file(follow_symlinks=False):
                        about = entry.stat(follow_symlinks=False)
                        found[entry.path] = (about.st_mtime_ns, about.st_ino, about.st_size)
        return found

    def new(self) -> list[str]:
        """Paths of those written since the last look, oldest first."""
        before, self._known = self._known, self._look()
        return sorted((p for p, mark in self._known.items() if before.get(p) != mark), key=lambda p: self._known[p])


class Pictures:
    """The result images of one cell: what was displayed, in order."""

    def __init__(self, limit: int) -> None:
        self._limit, self._dropped = limit, 0
        self.blobs: list[bytes] = []
        self.notes: list[str] = []

    def take(self, value: object) -> bool:
        """Keep `value` if it is an image or a figure; else return False."""
        pillow, figures = sys.modules.get("PIL.Image"), sys.modules.get("matplotlib.figure")
        if pillow and isinstance(value, pillow.Image):
            self._add(value)
        elif figures and isinstance(value, figures.Figure):
            buffer = io.BytesIO()
            value.savefig(buffer, format="png", metadata={"Software": None})
            from PIL import Image

            self._add(Image.open(buffer))
            if "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close(value)
        else:
            return False
        return True

    def take_open_figures(self) -> None:
        pyplot = sys.modules.get("matplotlib.pyplot")
        for number in pyplot.get_fignums() if pyplot else []:
            self.take(pyplot.figure(number))

    def take_saved(self, paths: list[str]) -> None:
        """Image files that the cell wrote, but for those that it also displayed."""
        for path in paths:
            name = os.path.relpath(path, FOLDER)
            try:
                # Never a link, and never one that waits for a writer.
                with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                    about = os.fstat(file.fileno())
                    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_SAVED_BYTES:
                        raise ValueError("it is too large")
                    from PIL import Image

                    image = Image.open(io.BytesIO(file.read(MAX_SAVED_BYTES)))
                    image.load()
            except Exception as error:
                self.notes.append(f"[the saved file {name[:100]} is not shown: {type(error).__name__}]")
            else:
                self._add(image, once=True)

    def _add(self, image: object, once: bool = False) -> None:
        if len(self.blobs) >= self._limit:
            self._dropped += 1
            return
        width, height = image.size
        if not width or not height:
            self.notes.append(f"[an empty image of {width}x{height} pixels is not shown]")
            return
        if width * height > MAX_PIXELS:
            ratio = (MAX_PIXELS / (width * height)) ** 0.5
            image = image.resize((max(1, int(width * ratio)), max(1, int(height * ratio))))
            self.notes.append(f"[image of {width}x{height} pixels shrunk to {image.width}x{image.height}]")
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
            image = image.convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)  # many times faster than the default, and hardly larger
        if not (once and buffer.getvalue() in self.blobs):
            self.blobs.append(buffer.getvalue())

    def finish(self) -> None:
        if (more := len(self.notes) - (MAX_NOTES - 2)) > 0:
            self.notes[MAX_NOTES - 2 :] = [f"[{more} more notes left out]"]
        if self._dropped:
            self.notes.append(f"[{self._dropped} more images not shown: at most {self._limit} per call]")


def user_frames(error: BaseException) -> str:
    """The traceback with the frames of the cells alone, so that it says the same on every machine."""

    def trim(part: traceback.TracebackException) -> None:
        part.stack[:] = [frame for frame in part.stack if frame.filename.startswith("<cell ")]
        for other in [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or [])]:
            if other is not None:
                trim(other)

    report = traceback.TracebackException.from_exception(error, compact=True)
    trim(report)
    return ADDRESS.sub("at 0x...", "".join(report.format()))


class Cells:
    """One namespace, and the cells that run in it."""

    def __init__(self, images: list[bytes]) -> None:
        module = types.ModuleType("__main__")  # so that what cells define can be pickled, as in a script
        sys.modules["__main__"] = module
        self.names = module.__dict__
        self.pictures: Pictures | None = None
        self.saved = SavedImages()
        self.names.update(display=self.display, exit=sys.exit, quit=sys.exit)
        if images:
            from PIL import Image

            for number, data in enumerate(images, 1):
                self.names[f"image_{number}"] = Image.open(io.BytesIO(data))  # decoded at first use

    def display(self, *values: object) -> None:
        for value in values:
            if not self.pictures.take(value):
                print(value if isinstance(value, str) else repr(value))

    def run(self, code: str, number: int, images: int, limit: int) -> tuple[dict, list[bytes]]:
        name = f"<cell {number}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        self.pictures = pictures = Pictures(images)
        outcome, value, error_text = "ok", "", ""
        try:
            value = self._execute(code, name)
        except SystemExit as error:
            if error.code not in (None, 0):
                outcome, error_text = "raised", user_frames(error)
        except MemoryError as error:
            outcome, error_text = "out_of_memory", user_frames(error)
        except BaseException as error:
            outcome, error_text = "raised", user_frames(error)
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
        text = "" if value is None or self.pictures.take(value) else ADDRESS.sub("at 0x...", repr(value))
        self.pictures.take_open_figures()
        return text


def prepare() -> None:
    """What is the same for every session: done once, before any is forked."""
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")


def write_files(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)


def serve(descriptor: int) -> None:
    """Take the session's images and files, then run cells until the supervisor goes."""
    channel = Channel(descriptor)
    start, blobs = channel.receive()
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
