"""A module that is dropped into a plug-in folder for the time of a test, without a change to any other file."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def dropped_in(package: ModuleType, name: str, text: str, folder: Path) -> Iterator[None]:
    """The package as if its folder held `<name>.py` with this text; the file itself lies in `folder`."""
    (folder / f"{name}.py").write_text(text)
    package.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        package.__path__.remove(str(folder))
        sys.modules.pop(f"{package.__name__}.{name}", None)
        package.__dict__.pop(name, None)
