"""Images through processes with limits: order, bounds, and decoders that die."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from records.images.normal_form import NormalImage, normal_form
from records.images.store import MAX_BYTES, ImageError, ImageFacts
from records.recipe.questions import ImageRules
from sources.intake.images import ImageIntake


def picture(number, size=(40, 30), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256, 90)).save(buffer, kind)
    return buffer.getvalue()


def marked(mark, number=0):
    """An image that the decoders of `misbehaving` treat badly."""
    return picture(number) + mark.encode()


@pytest.fixture
def misbehaving(tmp_path, monkeypatch):
    """Decoders that die, hang or fail on images with a mark behind their end, as a broken C library would."""
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import ctypes, os, pathlib, time
            from records.images import normal_form as module

            real, marks = module.normal_form, pathlib.Path(__file__).parent

            def normal_form(data):
                if data.endswith(b"CRASH"):
                    ctypes.string_at(0)
                if data.endswith(b"BUSY"):
                    while True:
                        pass
                if data.endswith(b"SLEEP") and not (marks / "slept").exists():
                    (marks / "slept").write_text(str(os.getpid()))
                    time.sleep(60)
                if data.endswith(b"GREEDY"):
                    bytearray(2**30)
                return real(data)

            module.normal_form = normal_form
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def reasons(results):
    return [result.reason if isinstance(result, ImageError) else "kept" for _, result in results]


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_item_in_its_order_with_the_very_same_result_as_in_one_process():
    files = [picture(n, kind=kind) for n in range(20) for kind in ("WEBP", "PNG", "BMP")] + [b"<html>", picture(1)[:-9]]
    items = [(n, [files[(n * 7) % 62], files[(n * 11) % 62]][: n % 3]) for n in range(120)]
    with ImageIntake(ImageRules(workers=2)) as intake:
        results = list(intake.take(iter(items)))
    assert [item for item, _ in results] == [n for n, _ in items]
    bad = {b"<html>": "not_an_image", files[-1]: "image_truncated"}
    given = set()
    for (_, result), (_, pictures) in zip(results, items, strict=True):
        wrong = [data for data in pictures if data in bad]
        if wrong:
            assert result.reason == bad[wrong[0]]
            assert result.detail.startswith("image ") == (len(pictures) > 1)
            continue
        assert len(result) == len(pictures)
        for got, data in zip(result, pictures, strict=True):
            expected = normal_form(data)
            # The bytes come once, with the first item that is kept; after that only what is known of them.
            assert got == (expected.facts if data in given else expected)
        given.update(pictures)
    assert Counter(reasons(results)) == {"kept": 115, "image_truncated": 3, "not_an_image": 2}


def test_known_images_and_rows_without_images_start_no_process():
    facts = normal_form(picture(1)).facts
    for known in ({facts.arrived: facts}, {facts.arrived: facts}.get):
        with ImageIntake(ImageRules(), known) as intake:
            assert list(intake.take([("a", []), ("b", [picture(1)])])) == [("a", []), ("b", [facts])]
            assert intake._decoders.pids() == []
            assert reasons(intake.take([("c", [bytes(MAX_BYTES + 1)])])) == ["image_too_large"]
            assert intake._decoders.pids() == []


def test_a_few_images_start_one_process():
    with ImageIntake(ImageRules(workers=8)) as intake:
        assert reasons(intake.take((n, [picture(n)]) for n in range(7))) == ["kept"] * 7
        assert len(intake._decoders.pids()) == 1


def test_an_image_beside_a_bad_one_is_still_given_later():
    good, bad = picture(1), b"no image"
    with ImageIntake(ImageRules(workers=1)) as intake:
        first, second, third, fourth = (r for _, r in intake.take(enumerate([[good, bad], [good], [good], [bad]])))
        assert (first.reason, first.detail[:14], fourth.reason) == ("not_an_image", "image 2 of 2: ", "not_an_image")
        assert isinstance(second[0], NormalImage) and isinstance(third[0], ImageFacts)
        # The same intake goes on remembering.
        assert reasons(intake.take([(0, [bad])])) == ["not_an_image"]
        assert isinstance(next(intake.take([(0, [good])]))[1][0], ImageFacts)


def test_what_is_in_flight_is_bounded(monkeypatch):
    drawn = 0

    def many(size):
        nonlocal drawn
        for drawn in range(1, 100_000):
            yield drawn, [picture(drawn) + bytes(size)] if size is not None else []

    with ImageIntake(ImageRules(workers=2)) as intake:
        for size, limit in ((0, 4 * 2 * 8 + 1), (300_000, 4 * 2 * 4 + 1), (None, 1)):
            results = intake.take(many(size))
            for number in range(1, 200):
                assert next(results)[0] == number
                assert drawn - number < limit
            results.close()
        monkeypatch.setattr("sources.intake.images._BYTES_IN_MEMORY", 1_000_000)
        results = intake.take(many(300_000))
        for number in range(1, 50):
            next(results)
            assert drawn - number < 5


def test_rows_that_wait_behind_a_slow_image_are_bounded(misbehaving):
    drawn = []
    rows = ((n, [marked("SLEEP")] if n == 0 else []) for n in range(5000) if drawn.append(n) is None)
    with ImageIntake(ImageRules(workers=1)) as intake:
        results = intake.take(rows)
        pid = misbehaving / "slept"

        def free():
            wait_for(lambda: pid.exists() and pid.read_text())
            assert len(drawn) <= 1000
            os.kill(int(pid.read_text()), signal.SIGKILL)

        thread = threading.Thread(target=free)
        thread.start()
        assert isinstance(next(results)[1], list)
        thread.join()
        assert len(drawn) == 1000 and sum(1 for _ in results) == 4999


def test_a_process_that_is_killed_in_the_middle_costs_no_image(misbehaving):
    items = [(n, [marked("SLEEP") if n == 20 else picture(n)]) for n in range(60)]
    with ImageIntake(ImageRules(workers=2)) as intake:
        results = intake.take(iter(items))
        first = [next(results) for _ in range(10)]
        wait_for(lambda: (misbehaving / "slept").exists() and (misbehaving / "slept").read_text())
        os.kill(int((misbehaving / "slept").read_text()), signal.SIGKILL)
        assert reasons(first + list(results)) == ["kept"] * 60


def test_only_the_images_that_break_a_decoder_are_rejected(misbehaving):
    bad = {
        3: ("CRASH", "image_crashed_decoder"),
        21: ("BUSY", "image_too_slow"),
        30: ("GREEDY", "image_too_large"),
    }
    items = [(n, [marked(bad[n][0], n) if n in bad else picture(n)]) for n in range(50)]
    with ImageIntake(ImageRules(workers=2, decode_s=0.4, decode_mb=512)) as intake:
        results = list(intake.take(iter(items)))
    assert reasons(results) == [bad[n][1] if n in bad else "kept" for n in range(50)]
    details = {result.reason: result.detail for _, result in results if isinstance(result, ImageError)}
    assert "SIGSEGV" in details["image_crashed_decoder"] and "0.4 s" in details["image_too_slow"]


def test_memory_is_limited_for_a_real_image_too():
    large = picture(1, (6000, 5000), "PNG")
    with ImageIntake(ImageRules(workers=1, decode_mb=40)) as intake:
        assert reasons(intake.take([(0, [large]), (1, [picture(2)])])) == ["image_too_large", "kept"]


def test_closing_is_quick_and_leaves_no_process(misbehaving):
    with ImageIntake(ImageRules(workers=2, decode_s=600)) as intake:
        results = intake.take((n, [marked("BUSY", n) if n % 20 == 9 else picture(n)]) for n in range(200))
        next(results)
        wait_for(lambda: len(intake._decoders.pids()) == 2)
        pids, start = intake._decoders.pids(), time.monotonic()
    assert time.monotonic() - start < 60  # an image that is worked on has 600 s
    assert not any(runs(pid) for pid in pids)


def test_no_process_outlives_its_parent(misbehaving):
    script = """
        import sys, time
        from tests_intake import marked
        from records.recipe.questions import ImageRules
        from sources.intake.images import ImageIntake

        intake = ImageIntake(ImageRules(workers=1))
        results = intake.take((n, [marked("BUSY") if n == 9 else marked("", n)]) for n in range(16))
        next(results)
        print(*intake._decoders.pids(), flush=True)
        time.sleep(60)
    """
    (misbehaving / "tests_intake.py").write_text(Path(__file__).read_text())
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        (pid,) = parent.stdout.readline().split()
        assert runs(pid)
        parent.kill()
    wait_for(lambda: not runs(pid))


def test_processes_that_cannot_start_are_a_clear_error(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ImageIntake(ImageRules(workers=1)) as intake, pytest.raises(RuntimeError, match="exit status 7"):
        list(intake.take([(0, [picture(1)])]))
