"""What makes vLLM faster on a CPU, by its surroundings alone: replies stay the same (benchmarks/server_settings.py)."""

import os
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path

SMALL = 4
"""CPUs up to which a machine counts as small."""


@lru_cache
def faster_allocator() -> str:
    """The name of tcmalloc's library where this machine has it, "" where not."""
    return find_library("tcmalloc_minimal") or find_library("tcmalloc") or ""


def faster_threads(python: str) -> str:
    """Intel's OpenMP library in the environment of the interpreter `python`, "" where it is not: vLLM for CPUs brings
    it along and does not load it."""
    library = Path(python).parent.parent / "lib" / "libiomp5.so"
    return str(library) if library.exists() else ""


def improve(environment: dict[str, str], python: str) -> None:
    """Add to the environment variables of a server, which the interpreter `python` runs, what is not set there."""
    if len(cpus := sorted(os.sched_getaffinity(0))) <= SMALL:
        # By itself vLLM keeps one CPU free of its threads: on two, that halves its speed.
        environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cpus)))
        # The worker in the engine's process: vLLM is imported once less, and no message passes between the two. It
        # wants a process per worker to bind the threads of each to its CPUs; here all threads may use all of them.
        environment.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        environment.setdefault("OMP_NUM_THREADS", str(len(cpus)))
        # As vLLM sets them for its workers: a thread that waits for longer makes room for the tools and the pipeline.
        environment.setdefault("KMP_BLOCKTIME", "5")
        environment.setdefault("KMP_TPAUSE", "0")
    preloaded = environment.get("LD_PRELOAD", "")
    faster = [("tcmalloc", faster_allocator()), ("iomp", faster_threads(python))]
    wanted = [library for name, library in faster if library and name not in preloaded]
    if wanted:
        environment["LD_PRELOAD"] = ":".join(filter(None, [*wanted, preloaded]))
