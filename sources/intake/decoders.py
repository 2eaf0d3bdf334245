"""Processes that decode images, each with limits, and the outcome for an image that one of them dies of.

Why not a pool of a library: concurrent.futures.ProcessPoolExecutor is broken as a whole by one dead process; pebble
(LGPL, maintained) outlives one and has limits on wall time, but knows nothing of memory or CPU time and sends each task
by itself, or fails a chunk as a whole; and what multiprocessing spawns imports the main module of the run again, which
is seconds of imports under Dagster. Here a thread of a ThreadPoolExecutor drives one process over one socket, so that
no lock and no queue is shared with a process that may die at any point.
"""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path

from records.images.decode_worker import READY, read_reply
from records.images.normal_form import NormalImage
from records.images.store import ImageError

_ROOT = str(Path(__file__).parent.parent.parent)
_STUCK_S = 60.0
"""Seconds that a process may take to answer, beside a multiple of its CPU limit, before it counts as stuck."""
_STUCK_TIMES = 30.0
"""The multiple of its CPU limit that is added to these seconds."""
_START_S = 120.0
"""Seconds that a process may take to start."""

Picture = tuple[str, bytes]
"""The hash of an image (sha256, hexadecimal) and the image."""


class Closed(RuntimeError):
    """The decoders were closed while they worked."""


class _Died(Exception):
    """A process ended, or was ended, while it had an image; `certain` if the image caused it."""

    def __init__(self, reason: str, why: str, certain: bool = False) -> None:
        super().__init__(why)
        self.reason, self.certain = reason, certain


class _Process:
    """One process and the socket to it."""

    def __init__(self, seconds: float, megabytes: int) -> None:
        self._seconds = seconds
        self._socket, far = Pipe()
        # One thread per process, and the modules of this checkout, whatever lies in the working directory.
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        limits = [str(far.fileno()), str(os.getpid()), str(seconds), str(megabytes)]
        with far:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "records.images.decode_worker", *limits],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                env={**os.environ, **threads, "PYTHONPATH": path},
            )

    def wait_until_ready(self) -> None:
        try:
            if self._socket.poll(_START_S) and self._socket.recv_bytes() == READY:
                return
        except (EOFError, OSError):
            pass
        self.end()
        raise RuntimeError(f"a process that decodes images does not start (exit status {self.process.returncode})")

    def send(self, batch: list[Picture]) -> None:
        """Send a whole batch, which the process reads before it answers, so that neither waits for the other."""
        try:
            self._socket.send_bytes(str(len(batch)).encode())
            for _, data in batch:
                self._socket.send_bytes(data)
        except OSError:
            raise self._death() from None

    def receive(self, picture: Picture) -> NormalImage | ImageError:
        """The outcome for the next image of the batch. Raises _Died."""
        arrived, data = picture
        try:
            if not self._socket.poll(wait := _STUCK_S + _STUCK_TIMES * self._seconds):
                self.end()
                raise _Died("image_too_slow", f"no answer in {wait:.0f} s")
            return read_reply(self._socket.recv_bytes(), data, arrived)
        except (EOFError, OSError):
            raise self._death() from None

    def _death(self) -> _Died:
        self._socket.close()
        status = self.process.wait()
        if status == -signal.SIGPROF:
            return _Died("image_too_slow", f"more than {self._seconds:g} s of CPU time", certain=True)
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return _Died("image_crashed_decoder", f"the decoder ended twice, with {how}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._socket.close()


class Decoders:
    """A pool of at most `workers` processes; one is started when there is work and no other is free."""

    def __init__(self, workers: int, seconds: float, megabytes: int) -> None:
        self._seconds, self._megabytes = seconds, megabytes
        self._own = threading.local()
        self._lock = threading.Lock()
        self._processes: set[_Process] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(workers, "decode")

    def submit(self, batch: list[Picture]) -> Future[list[NormalImage | ImageError]]:
        """The outcome for each image of a batch; the future raises RuntimeError if no process can be started."""
        return self._threads.submit(self._decode, batch)

    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        with self._lock:
            return [process.process.pid for process in self._processes]

    def close(self) -> None:
        """End the processes, even in the middle of their work."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.end()

    def _process(self) -> _Process:
        """This thread's process."""
        process: _Process | None = getattr(self._own, "process", None)
        if process is None:
            with self._lock:
                if self._closed:
                    raise Closed
                process = _Process(self._seconds, self._megabytes)
                self._processes.add(process)
            try:
                process.wait_until_ready()
            except RuntimeError:
                self._forget(process)
                raise
            self._own.process = process
        return process

    def _forget(self, process: _Process) -> None:
        self._own.process = None
        with self._lock:
            self._processes.discard(process)

    def _decode(self, batch: list[Picture]) -> list[NormalImage | ImageError]:
        results: list[NormalImage | ImageError] = []
        deaths = 0
        while len(results) < len(batch):
            process = self._process()
            try:
                process.send(batch[len(results) :])
                for picture in batch[len(results) :]:
                    results.append(process.receive(picture))
                    deaths = 0
            except _Died as death:
                self._forget(process)
                deaths += 1
                # The image that it had is to blame; but something else may have killed the process, such as an
                # operator or the kernel short of memory: one more try tells.
                if death.certain or deaths == 2:
                    results.append(ImageError(death.reason, str(death)))
                    deaths = 0
        return results
