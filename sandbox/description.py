"""What a machine's sandbox is: all that results depend on, beside the limits and the code."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from records.identity import content_hash
from sandbox.walls import bubblewrap, seccomp

FORMAT = 2
"""Count up when the supervisor's part of a result changes: its texts and verdicts, the environment, the filter's rules
beyond its tables. (A hash of its programs would throw away every recorded call for a comment.)"""


@dataclass(frozen=True)
class SandboxDescription:
    """What a sandbox tells about itself."""

    version: str
    """Changes whenever the same cells, under the same limits, could come out differently."""
    layers: tuple[str, ...] = ()
    """The layers of isolation that are in place; they change no result."""
    python: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """The packages that contain the libraries promised to the code, with their versions."""


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """The installed packages that contain these libraries (import names), with their versions."""
    names = [min(_packages()[top]) for library in libraries if (top := library.partition(".")[0]) in _packages()]
    return {name: importlib.metadata.version(name) for name in dict.fromkeys(names)}


def describe_this_machine(libraries: Sequence[str], layers: Sequence[str]) -> SandboxDescription:
    """What sessions on this machine are, with these libraries imported and these layers around them."""
    python, packages = platform.python_version(), versions(libraries)
    programs = [path.read_text() for path in sorted(bubblewrap.INSIDE.iterdir()) if path.is_file()]
    sizes = [bubblewrap.TMP_MB, bubblewrap.SHM_MB, bubblewrap.FILE_MB, bubblewrap.OPEN_FILES]
    version = content_hash([FORMAT, python, packages, programs, sizes, seccomp.REFUSED, seccomp.ABSENT])
    return SandboxDescription(version, tuple(layers), python, packages)
