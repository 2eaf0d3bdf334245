"""A process that brings images into their normal form, one after another, under limits:

    python -m records.images.decode_worker SOCKET PARENT SECONDS MEGABYTES

Over the socket come the number of images and then the images; a reply to each goes back, in order. Decoders are
large C libraries that read what strangers wrote, so whoever asks believes a reply no more than it must: it is data that
is parsed, nothing that is executed, and the hashes are taken again. What a process may take is its address space
at the start and MEGABYTES more; an image that takes more than SECONDS of CPU time ends the process by SIGPROF, because
no Python handler would run before the decoder returns. Linux only.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import warnings
from hashlib import sha256
from multiprocessing.connection import Connection

from PIL import AvifImagePlugin

from records.images.normal_form import NormalImage, normal_form
from records.images.store import ImageError, ImageFacts

READY = b"ready"
_FACTS = ("width", "height", "format", "changes", "phash", "inner_phash")
_PR_SET_PDEATHSIG = 1


def reply(data: bytes) -> bytes:
    """The reply to one image: a line of JSON, then the thumbnail, then the bytes to store if they differ from
    `data`."""
    try:
        normal = normal_form(data)
    except ImageError as error:
        return json.dumps({"reason": error.reason, "detail": error.detail}).encode()
    except MemoryError:
        return json.dumps({"reason": "image_too_large", "detail": "more memory than a decoder is given"}).encode()
    facts = {name: getattr(normal.facts, name) for name in _FACTS} | {"thumbnail": len(normal.facts.thumbnail)}
    changed = b"" if normal.facts.image == normal.facts.arrived else normal.data
    return b"".join((json.dumps(facts).encode(), b"\n", normal.facts.thumbnail, changed))


def read_reply(answer: bytes, data: bytes, arrived: str) -> NormalImage | ImageError:
    """The result in a reply to the image `data`, whose hash is `arrived`."""
    line, _, rest = answer.partition(b"\n")
    says = json.loads(line)
    if "reason" in says:
        return ImageError(says["reason"], says["detail"])
    thumbnail, stored = rest[: says["thumbnail"]], rest[says["thumbnail"] :] or data
    image = arrived if stored is data else sha256(stored).hexdigest()
    return NormalImage(stored, ImageFacts(**says | {"image": image, "arrived": arrived, "thumbnail": thumbnail}))


def main(socket: int, parent: int, seconds: float, megabytes: int) -> None:
    """Serve until the other side closes the socket."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the socket
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is one process per core
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = Connection(socket)
    connection.send_bytes(READY)
    # From here on only decoders write to the standard error, line upon line about broken files.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            images = [connection.recv_bytes() for _ in range(int(connection.recv_bytes()))]
        except (EOFError, ConnectionError):
            return
        for data in images:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            answer = reply(data)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
