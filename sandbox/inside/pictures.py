"""The result images of a cell, as a notebook shows them: what is displayed, open figures, and image files it saved."""

import contextlib
import io
import math
import os
import stat
import sys

from bounds import MAX_NOTES, MAX_PIXELS

MAX_SAVED_BYTES = 32 << 20
IMAGE_FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FOLDER, MAX_ENTRIES, MAX_DEPTH = "/tmp", 2000, 3
"""Where saved images are looked for, among how many entries, how deep."""


def file_mark(about: os.stat_result) -> tuple:
    """What changes when a file is written."""
    return about.st_mtime_ns, about.st_ino, about.st_size


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
                        found[entry.path] = file_mark(entry.stat(follow_symlinks=False))
        return found

    def new(self) -> dict[str, tuple]:
        """Path and mark of those written since the last look, oldest first."""
        before, self._known = self._known, self._look()
        changed = [path for path, mark in self._known.items() if before.get(path) != mark]
        return {path: self._known[path] for path in sorted(changed, key=lambda path: self._known[path])}


def open_figures() -> list:
    """The figures that pyplot holds, by their numbers."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    managers = helpers.Gcf.get_all_fig_managers() if helpers else []
    return [manager.canvas.figure for manager in sorted(managers, key=lambda manager: manager.num)]


def close_figures() -> None:
    """Have pyplot hold no figure, whatever a figure does when it is closed."""
    if helpers := sys.modules.get("matplotlib._pylab_helpers"):
        try:
            helpers.Gcf.destroy_all()
        except BaseException:
            helpers.Gcf.figs.clear()


def is_empty(figure: object) -> bool:
    """Whether there is nothing on a figure but its paper; a notebook shows no picture of such a one."""
    return len(figure.get_children()) <= 1


def plain(image: object) -> object:
    """The image in 8-bit RGB or grey, on white where it is transparent, as the images of questions are stored: whoever
    reads it afterwards sees the same picture."""
    from PIL import Image

    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)).convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper.convert("L") if grey else paper
    wanted = "L" if grey else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _eight_bits(image: object) -> object:
    """Grey of 8 bits: 16 bits scaled from their whole range; other numbers from 0 to 1, 255 or 65535, the first that
    holds them all, or else from the range they take."""
    wide = image.mode.startswith("I;16")
    image = image.convert("I" if image.mode != "F" else "F")
    low, high = 0.0, 65535.0
    if not wide:
        least, most = image.getextrema()
        if not (math.isfinite(least) and math.isfinite(most)):
            return image.convert("L")
        tops = (255.0, 65535.0) if most > 1 else (1.0,)
        low, high = next(((0.0, top) for top in tops if least >= 0 and most <= top), (least, max(most, least + 1e-6)))
    scale = 255.0 / (high - low)
    return image.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


class Pictures:
    """The result images of one cell, in order.

    Args:
        limit: how many images are kept.
        draw: makes a PNG file of a figure.
    """

    def __init__(self, limit: int, draw: object) -> None:
        self._limit, self._draw, self._dropped = limit, draw, 0
        self._drawn: dict[object, bytes] = {}
        """Figures that this cell has shown, each as it last looked."""
        self._saved: dict[object, tuple[str, tuple]] = {}
        """The file that a figure was last saved to, with its mark."""
        self._covered: dict[str, tuple] = {}
        """Files that hold a figure which is shown anyway."""
        self.blobs: list[bytes] = []
        self.notes: list[str] = []

    def take(self, value: object) -> bool:
        """Keep `value` if it is an image or a figure with something on it; else return False."""
        pillow, figures = sys.modules.get("PIL.Image"), sys.modules.get("matplotlib.figure")
        if pillow and isinstance(value, pillow.Image):
            self._add(value)
        elif figures and isinstance(value, figures.Figure) and not is_empty(value):
            self._take_figure(value)
        else:
            return False
        return True

    def _take_figure(self, figure: object, again: bool = True) -> None:
        """Keep a figure as it is now; one that was shown and looks the same only with `again`."""
        from PIL import Image

        saved = self._saved.pop(figure, None)
        if saved and not figure.stale:  # nothing was drawn on it since
            self._covered[saved[0]] = saved[1]
        data = self._draw(figure)
        if again or self._drawn.get(figure) != data:
            self._add(Image.open(io.BytesIO(data)))
        self._drawn[figure] = data

    def show_open(self) -> BaseException | None:
        """Show the open figures and close them all, whatever happens. Returns the error of the first that cannot be
        drawn."""
        failed = None
        try:
            for figure in open_figures():
                try:
                    if not is_empty(figure):
                        self._take_figure(figure, again=False)
                    elif figure not in self._drawn:
                        self._drawn[figure] = b""
                        print(repr(figure))
                except BaseException as error:
                    failed = error if failed is None else failed
        finally:
            close_figures()
        return failed

    def saved(self, figure: object, path: str) -> None:
        """A figure was saved to a file."""
        if not os.path.splitext(path)[1]:
            path += ".png"
        self._covered.pop(path, None)
        with contextlib.suppress(OSError):
            self._saved[figure] = path, file_mark(os.stat(path))
            figure.stale = False  # until something is drawn on it

    def take_saved(self, files: dict[str, tuple]) -> None:
        """Image files that the cell wrote, but for those that it also displayed."""
        for path, mark in files.items():
            if self._covered.get(path) == mark:
                continue
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
        buffer = io.BytesIO()
        # Many times faster than the default level, and hardly larger.
        plain(image).save(buffer, "PNG", compress_level=1, icc_profile=None)
        if not (once and buffer.getvalue() in self.blobs):
            self.blobs.append(buffer.getvalue())

    def finish(self) -> None:
        if (more := len(self.notes) - (MAX_NOTES - 2)) > 0:
            self.notes[MAX_NOTES - 2 :] = [f"[{more} more notes left out]"]
        if self._dropped:
            self.notes.append(f"[{self._dropped} more images not shown: at most {self._limit} per call]")
