"""What helps on a CPU is used where it is there, and never instead of what somebody set."""

import pytest

from rollouts.models import on_cpu


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Two CPUs, no tcmalloc, no OpenMP."""
    monkeypatch.setattr(on_cpu, "find_library", lambda name: None)
    monkeypatch.setattr(on_cpu, "faster_allocator", on_cpu.faster_allocator.__wrapped__)
    monkeypatch.setattr(on_cpu, "faster_threads", lambda python: "")
    monkeypatch.setattr(on_cpu.os, "sched_getaffinity", lambda _: {0, 1})


def improved(**environment):
    on_cpu.improve(environment, "python")
    return environment


@pytest.mark.parametrize(
    ("there", "threads", "before", "after"),
    [
        ({"tcmalloc_minimal": "libtcmalloc_minimal.so.4"}, "", "libother.so", "libtcmalloc_minimal.so.4:libother.so"),
        ({"tcmalloc": "libtcmalloc.so.4"}, "/lib/libiomp5.so", "", "libtcmalloc.so.4:/lib/libiomp5.so"),
        ({"tcmalloc": "libtcmalloc.so.4"}, "", "/opt/libtcmalloc.so", "/opt/libtcmalloc.so"),
        ({}, "/lib/libiomp5.so", "/opt/libiomp5.so", "/opt/libiomp5.so"),
        ({}, "", "", ""),
    ],
)
def test_faster_libraries_are_preloaded_where_they_are_there(monkeypatch, there, threads, before, after):
    monkeypatch.setattr(on_cpu, "find_library", there.get)
    monkeypatch.setattr(on_cpu, "faster_threads", lambda python: threads)
    assert improved(LD_PRELOAD=before)["LD_PRELOAD"] == after


def test_openmp_is_looked_for_beside_the_interpreter(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert on_cpu.faster_threads(str(tmp_path / "bin" / "python")) == ""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5.so").touch()
    assert on_cpu.faster_threads(str(tmp_path / "bin" / "python")) == str(tmp_path / "lib" / "libiomp5.so")


def test_a_small_machine_gets_one_process_with_all_its_threads(monkeypatch):
    assert improved() == {
        "VLLM_CPU_OMP_THREADS_BIND": "0,1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "2",
        "KMP_BLOCKTIME": "5", "KMP_TPAUSE": "0",
    }  # fmt: skip
    own = dict.fromkeys(improved(), "1")
    assert improved(**own) == own
    monkeypatch.setattr(on_cpu.os, "sched_getaffinity", lambda _: set(range(64)))
    assert improved() == {}
