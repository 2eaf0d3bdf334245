"""Where the cell that runs shows things: the libraries' own ways of showing lead here, as in a notebook."""

import functools
import io
import os

from late_imports import on_import
from pictures import Pictures


class Screen:
    """The pictures of the cell that runs, and the functions of libraries that add to them."""

    def __init__(self) -> None:
        self.pictures = Pictures(0, self.draw)
        self._save = lambda figure, *values, **named: figure.savefig(*values, **named)

    def begin(self, images: int) -> Pictures:
        """A cell starts: its pictures, at most so many."""
        self.pictures = Pictures(images, self.draw)
        return self.pictures

    def display(self, *values: object, **_: object) -> None:
        """Show each value: as a picture if it is one, else as text."""
        for value in values:
            if not self.pictures.take(value):
                print(value if isinstance(value, str) else repr(value))

    def show(self, *_: object, **__: object) -> None:
        """Show all open figures, one picture each. The next plot is on a new figure."""
        if (failed := self.pictures.show_open()) is not None:
            raise failed

    def draw(self, figure: object) -> bytes:
        """A figure as a PNG file."""
        buffer = io.BytesIO()
        self._save(figure, buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def connect(self) -> None:
        """Have the libraries show things here: those that are imported, and the others once they are."""
        on_import(
            {
                "matplotlib.figure": self._connect_figures,
                "matplotlib.pyplot": self._connect_pyplot,
                "PIL.ImageShow": self._connect_viewers,
                "IPython.display": self._connect_display,
            }
        )

    def _connect_figures(self, module: object) -> None:
        save = self._save = module.Figure.savefig

        @functools.wraps(save)
        def savefig(figure, fname, *values, **named):
            save(figure, fname, *values, **named)
            if isinstance(fname, str | os.PathLike):
                self.pictures.saved(figure, os.path.realpath(os.fsdecode(fname)))

        @functools.wraps(module.Figure.show)
        def show(figure, warn=True):
            self.display(figure)

        module.Figure.savefig, module.Figure.show = savefig, show

    def _connect_pyplot(self, module: object) -> None:
        @functools.wraps(module.show)
        def show(*values, **named):
            self.show()

        module.show = show

    def _connect_viewers(self, module: object) -> None:
        class Viewer(module.Viewer):
            """Shows images as a notebook does; no program of the machine is started."""

            def show(viewer, image, **options):
                self.display(image)
                return True

        module._viewers[:] = [Viewer()]

    def _connect_display(self, module: object) -> None:
        module.display = self.display


screen = Screen()
