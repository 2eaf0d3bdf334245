"""Running a command as the user nobody, also where the interpreter lies in a folder that is closed to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
NOBODY = 65534
SHELL = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]


class CannotBecomeNobody(RuntimeError):
    """Says what this machine lacks for it."""


def _reachable_by_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in [path, *path.parents])


def command(line: list[str]) -> list[str]:
    """`line`, run by nobody in the repository. Closed folders it needs are shown to it by bind mounts of its own.

    Raises:
        CannotBecomeNobody: not root, no util-linux, or no right to mount.
    """
    if os.getuid() != 0:
        raise CannotBecomeNobody("only root can become another user")
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        raise CannotBecomeNobody("needs unshare and setpriv (util-linux)")
    if subprocess.run([*SHELL, "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        raise CannotBecomeNobody("this root may not mount, so it cannot show a closed interpreter to another user")
    needed = [Path(os.path.realpath(sys.base_prefix)), Path(sys.prefix), REPOSITORY]
    closed = [path for path in needed if not _reachable_by_all(path)]
    script = ["set -e", "stash=$(mktemp -d)", "mount -t tmpfs -o mode=755 none $stash"]
    for number, path in enumerate(closed):
        script += [f"mkdir $stash/{number}", f"mount --bind '{path}' $stash/{number}"]
    for top in {next(p for p in reversed(path.parents) if not p.stat().st_mode & 0o001) for path in closed}:
        script.append(f"mount -t tmpfs -o mode=755 none '{top}'")
    for number, path in enumerate(closed):
        script += [f"mkdir -p '{path}'", f"mount --bind $stash/{number} '{path}'"]
    script.append(f"cd '{REPOSITORY}'")
    script.append(f'exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups -- "$@"')
    return [*SHELL, "\n".join(script), "sh", *line]


def environment() -> dict[str, str]:
    """This environment without a home that nobody could not enter."""
    return {**os.environ, "HOME": "/nonexistent"}
