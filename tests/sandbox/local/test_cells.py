"""Cells do what they would do in a notebook, with images in and out."""

import io

import pytest
from PIL import Image

from records.recipe import SandboxSettings
from sandbox import LocalSandbox, SandboxUnavailable
from sandbox.walls import bubblewrap
from tests.support.sandbox_cells import png


async def test_state_is_kept_and_values_are_shown_as_in_a_notebook(sandbox):
    async with await sandbox.open([]) as session:
        first = await session.run("x = 20\nprint('one')\nx + 1")
        assert (first.outcome, first.stdout, first.value) == ("ok", "one\n", "21")
        assert (await session.run("x + 2")).value == "22"
        assert (await session.run("x;")).value == ""
        assert (await session.run("None")).value == ""
        assert (await session.run("def f():\n    return x\nclass C: pass")).value == ""
        assert (await session.run("f(), C.__module__, object()")).value == "(20, '__main__', <object object at 0x...>)"


async def test_sessions_share_nothing(sandbox):
    one, two = await sandbox.open([png(colour="red")]), await sandbox.open([png(colour="blue")])
    await one.run("secret = 1; open('/tmp/note', 'w').write('x')")
    result = await two.run(
        "import os\nprint('secret' in globals(), os.path.exists('/tmp/note'), image_1.getpixel((0, 0)))"
    )
    assert result.stdout == "False False (0, 0, 255)\n"
    processes = await two.run("import os; len([p for p in os.listdir('/proc') if p.isdigit()])")
    assert processes.value == "2"


async def test_the_traceback_names_the_lines_of_the_cells_alone(sandbox):
    async with await sandbox.open([]) as session:
        await session.run("import json\n\ndef parse(text):\n    return json.loads(text)")
        result = await session.run("text = '{'\n\nparse(text)")
        assert result.outcome == "raised"
        assert 'File "<cell 2>", line 3, in <module>' in result.error
        assert 'File "<cell 1>", line 4, in parse' in result.error
        assert "return json.loads(text)" in result.error and "JSONDecodeError" in result.error
        assert result.error.count("File ") == 2 and "worker.py" not in result.error
        chained = await session.run("try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e")
        assert "ZeroDivisionError" in chained.error and "KeyError: 'k'" in chained.error
        broken = await session.run("if True:\nprint(1)")
        assert broken.outcome == "raised" and "IndentationError" in broken.error and "line 2" in broken.error


@pytest.mark.parametrize(
    "code",
    ["for i in range(2):\n    x = i\nprint(x)", "s = '''a\n   b\n\tc'''\nprint(repr(s))", "print(1)\r\nprint(2)", "  "],
)
async def test_the_code_that_runs_is_the_code_given(sandbox, code):
    here = io.StringIO()
    exec(compile(code, "here", "exec"), {"print": lambda *values: print(*values, file=here)})
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).stdout == here.getvalue()


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        ("'\\0' + chr(0) and 1\0", "raised", "null bytes"),
        ("x = '\ud800'", "raised", "surrogates"),
        ("import sys; sys.exit('no')", "raised", "SystemExit: no"),
        ("def f(): f()\nf()", "raised", "RecursionError"),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt"),
        ("input()", "raised", "EOFError"),
        ("class R:\n    def __repr__(self): 1/0\nR()", "raised", "ZeroDivisionError"),
        ("x = bytearray(1 << 40)", "out_of_memory", "MemoryError"),
    ],
)
async def test_an_error_is_never_a_success(sandbox, code, outcome, word):
    async with await sandbox.open([]) as session:
        await session.run("kept = 7")
        result = await session.run(code)
        assert result.outcome == outcome and word in result.error
        assert (await session.run("kept")).value == "7"


async def test_what_children_and_raw_writes_print_is_output(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import os, subprocess\nsubprocess.run('echo child; echo bad >&2', shell=True)\nos.write(1, b'raw\\n');"
        )
        assert result.stdout == "child\nraw\n" and result.stderr == "bad\n"


async def test_images_go_in_and_come_out(sandbox):
    pytest.importorskip("matplotlib")
    async with await sandbox.open([png(20, 10, "red"), png(30, 5, "blue")]) as session:
        last = await session.run("image_2.crop((0, 0, 7, 3))")
        assert last.value == "" and [Image.open(io.BytesIO(data)).size for data in last.images] == [(7, 3)]
        assert Image.open(io.BytesIO(last.images[0])).getpixel((0, 0)) == (0, 0, 255)
        many = await session.run("for _ in range(6): display(image_1)\ndisplay('text')")
        assert len(many.images) == 4 and many.notes == ["[2 more images not shown: at most 4 per call]"]
        assert many.stdout == "text\n"
        big = await session.run("from PIL import Image\nImage.new('L', (4000, 2000))")
        assert big.notes == ["[image of 4000x2000 pixels shrunk to 2828x1414]"]
        for mode in ("CMYK", "F", "1", "P", "I", "LA", "HSV"):
            assert len((await session.run(f"Image.new({mode!r}, (3, 3))")).images) == 1, mode


async def test_figures_come_out_once(sandbox):
    pytest.importorskip("matplotlib")
    sandbox = LocalSandbox(SandboxSettings(cell_timeout_s=60))
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1), dpi=50)\nplt.plot([1, 2])\nplt.show()"
        )
        assert (result.outcome, result.stderr) == ("ok", "")
        assert [Image.open(io.BytesIO(data)).size for data in result.images] == [(100, 50)]
        assert (await session.run("1")).images == []
        again = await session.run("plt.figure(figsize=(2, 1), dpi=50); plt.plot([1, 2]);")
        assert again.images == result.images
        assert len((await session.run("figure, axes = plt.subplots()\nfigure")).images) == 1


async def test_a_replay_in_a_fresh_session_says_the_same(sandbox):
    cells = [
        "names = {'b', 'a', 'c'}\nprint(names, hash('x'))",
        "image_1.size",
        "lambda: 1",
        "class A: pass\nA()",
        "1/0",
    ]
    seen = []
    for _ in range(2):
        async with await sandbox.open([png()]) as session:
            seen.append([(r.outcome, r.stdout, r.value, r.error) for r in [await session.run(cell) for cell in cells]])
    assert seen[0] == seen[1] and "at 0x..." in seen[0][2][2]


async def test_images_that_a_cell_saves_come_back(sandbox):
    async with await sandbox.open([png()], {"given.png": png()}) as session:
        code = "import os\nos.mkdir('out')\nimage_1.save('out/a.jpg')\nimage_1.resize((3, 3)).save('b.png')"
        saved = await session.run(code)
        assert [Image.open(io.BytesIO(data)).size for data in saved.images] == [(20, 10), (3, 3)]
        assert (await session.run("1")).images == []
        shown = await session.run("crop = image_1.crop((0, 0, 5, 5)); crop.save('c.png'); crop")
        assert len(shown.images) == 1  # once, though shown and saved
        odd = await session.run(
            "os.symlink('/etc/passwd', 'd.png'); os.mkfifo('e.png'); open('f.png', 'w').write('no');"
        )
        assert odd.images == [] and odd.notes == ["[the saved file f.png is not shown: UnidentifiedImageError]"]


async def test_the_libraries_are_there_and_random_numbers_differ(sandbox):
    code = "import numpy, random, sympy.core.random as s\n(numpy.random.rand(), random.random(), s.random())"
    seen = []
    for _ in range(2):
        async with await sandbox.open() as session:
            names = await session.run(
                "import sys\n[n for n in ('numpy', 'PIL', 'sympy', 'pandas') if n in sys.modules]"
            )
            assert names.value == "['numpy', 'PIL', 'sympy', 'pandas']"
            seen.append((await session.run(code)).value)
    assert not set(seen[0].strip("()").split(", ")) & set(seen[1].strip("()").split(", "))


async def test_with_a_seed_random_numbers_are_the_same_and_another_seed_gives_others(sandbox):
    code = "import numpy, random, sympy.core.random as s\n(numpy.random.rand(), random.random(), s.random())"
    seen = []
    for seed in (1, 1, 2):
        async with await sandbox.open(seed=seed) as session:
            seen.append((await session.run(code)).value.strip("()").split(", "))
    assert seen[0] == seen[1] and not set(seen[0]) & set(seen[2])


async def test_libraries_that_a_cell_imports_first_show_and_draw_as_the_warm_ones_do():
    pytest.importorskip("torch")
    sandbox = LocalSandbox(SandboxSettings(cell_timeout_s=120, memory_mb=4096, libraries=["PIL"]))
    cells = [
        "import sys\n[name for name in ('numpy', 'matplotlib', 'torch') if name in sys.modules]",
        "import numpy\n(numpy.random.rand(), numpy.random.default_rng().random())",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show(); plt.bar([0, 1], [5, 9]); plt.show()",
        "import torch\ntorch.rand(2).tolist()",
    ]
    seen = []
    for _ in range(2):
        async with await sandbox.open(seed=1) as session:
            results = [await session.run(cell) for cell in cells]
            seen.append([(result.outcome, result.value, result.images) for result in results])
    await sandbox.close()
    assert seen[0] == seen[1] and seen[0][0][1] == "[]" and len(seen[0][2][2]) == 2


async def test_the_names_of_the_workers_own_modules_are_free(sandbox):
    async with await sandbox.open([], {"pictures.py": b"mine = 1", "worker.py": b"mine = 2"}) as session:
        assert (await session.run("import pictures, worker\npictures.mine + worker.mine")).value == "3"


@pytest.mark.parametrize(("name", "word"), [("no_such_library", "cannot be imported"), ("lazy", "starts threads")])
async def test_a_library_that_cannot_be_kept_warm_is_named(tmp_path, monkeypatch, name, word):
    (tmp_path / "lazy.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()")
    tmp_path.chmod(0o755)
    packages = [*bubblewrap.packages(), str(tmp_path)]
    monkeypatch.setattr(bubblewrap, "packages", lambda: packages)
    with pytest.raises(SandboxUnavailable, match=f"{name}.*{word}"):
        await LocalSandbox(SandboxSettings(libraries=["numpy", name])).open()


async def test_many_notes_are_no_interference(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("for i in range(150): open(f'{i}.png', 'w').close()")
        assert result.outcome == "ok" and len(result.notes) == 99 and "52 more notes" in result.notes[-1]


async def test_what_cannot_be_encoded_is_spelt_out_within_the_limit(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("raise ValueError('\\udcff' * 4000)")
        assert result.outcome == "raised" and "\\udcff\\udcff" in result.error and len(result.error) < 4200
