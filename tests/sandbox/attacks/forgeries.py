"""Attacks on what the supervisor believes: answers that code gives about itself, in place of the worker."""

import json

from .case import Attack, Cell
from .supervisor import SOCKETS, STOPPED

FIND = """
import gc
def requests():
    '''The ids of the questions that the worker is answering, wherever its frames and objects keep them.'''
    frame, found = sys._getframe(), set()
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, dict) and 'id' in value and 'code' in value: found.add(str(value['id']))
        frame = frame.f_back
    for value in gc.get_objects():
        if type(value) is dict and 'id' in value and 'code' in value: found.add(str(value['id']))
    return found
def answer(outcome='ok', value='forged', error='', notes=(), blobs=(), **more):
    for identity in requests() or {'x'}:
        send(frame(dict(id=identity, outcome=outcome, value=value, error=error, notes=list(notes), **more), *blobs))
"""


def forges(name: str, aim: str, *answers: str, outcomes: tuple[str, ...] = STOPPED, value: str = r"(?s).*") -> Attack:
    """An attack of one cell for each of these forged answers (arguments of `answer`); each ends the cell's own."""
    cells = tuple(
        Cell(SOCKETS + FIND + f"answer({words})\ntime.sleep(0.3)\n", outcomes, value=value, images=(0, 0))
        for words in answers
    )
    return Attack(name, aim, cells, profile="short", still_works=False)


ATTACKS = [
    forges(
        "forged_outcome",
        "answer with an outcome that only the supervisor may give",
        "'infrastructure'",
        "'timed_out'",
        "'killed'",
        "'invalid_call'",
        "None",
        "['ok']",
        "'ok', state_lost=True, usage={'seconds': -1}, memory=-5",
        outcomes=("killed", "timed_out", "ok"),
    ),
    forges(
        "forged_texts",
        "answer with texts that are too long, of the wrong kind, or thousands of notes",
        "value='x' * (3 << 20)",
        "value=5",
        "error={'a': []}",
        "notes=[1, 2]",
        "notes=['n'] * 100_000",
        "notes=['n' * (1 << 20)]",
    ),
    forges(
        "forged_images",
        "answer with images that are none, too many, too large, or bombs",
        "blobs=[b'no image']",
        "blobs=[b'\\x89PNG\\r\\n\\x1a\\n' + bytes(100)]",
        "blobs=[b'\\x89PNG\\r\\n\\x1a\\n' + bytes(8) + struct.pack('>II', 1 << 31, 1 << 31)]",
        "blobs=[b'GIF89a' + bytes(100)]",
        "blobs=[b''] * 1000",
        "blobs=[b'<svg/>', b'%PDF-1.4']",
    ),
    forges(
        "forged_polyglots",
        "answer with images that hold archives, pages and gigabytes of text beside their pixels",
        "blobs=[pixel + b'PK\\x03\\x04' + bytes(1000)]",
        "blobs=[pixel + b'<html><script>1</script>']",
        "blobs=[pixel[:33] + chunk(b'tEXt', b'k\\0<?php 1 ?>') + pixel[33:]]",
        "blobs=[pixel[:33] + chunk(b'zTXt', b'k\\0\\0' + zlib.compress(bytes(1 << 20))) * 4000 + pixel[33:]]",
        "blobs=[pixel[:-4] + b'oops']",
    ),
    Attack(
        "large_answers",
        "keep the supervisor busy with answers that are right in form: huge, nested, full of empty objects",
        tuple(
            Cell(SOCKETS + FIND + f"answer(junk={junk})\ntime.sleep(0.3)", STOPPED, images=(0, 0))
            for junk in ("[[]] * 1_800_000", "[{}] * 1_800_000", "['x' * (7 << 20)]", "list(range(1_000_000))")
        ),
        profile="short",
        alone=True,
        still_works=False,
    ),
    Attack(
        "forged_answer",
        "find the question's id in the worker's frames and give an answer about oneself before the real one",
        (
            Cell(SOCKETS + FIND + "answer()\n1/0", ("ok", "killed", "raised"), value="(forged)?"),
            Cell("1/0", ("killed", "raised"), value=""),
        ),
        still_works=False,
    ),
    Attack(
        "answer_ahead",
        "send an answer now for the question that comes next",
        (
            Cell(
                SOCKETS
                + FIND
                + """
def later():
    time.sleep(0.2)
    answer()
threading.Thread(target=later).start()
""",
                pause_s=0.6,
            ),
            Cell("1/0", ("killed", "raised"), value=""),
        ),
        still_works=False,
    ),
    Attack(
        "steal_the_question",
        "read the next question before the worker does, and answer it",
        (
            Cell(
                SOCKETS
                + """
def thief():
    while True:
        for descriptor in channels:
            try:
                data = os.read(descriptor, 1 << 16)
            except OSError:
                continue
            at = data.find(b'"id"')
            if at >= 0:
                identity = data[at:].split(b'"')[3].decode()
                send(frame(dict(id=identity, outcome='ok', value='stolen', error='', notes=[])))
threading.Thread(target=thief, daemon=True).start()
time.sleep(0.1)
""",
            ),
            Cell("1/0", ("killed", "timed_out", "raised", "ok"), value="(stolen)?"),
            Cell("1/0", ("killed", "timed_out", "raised", "ok"), value="(stolen)?"),
        ),
        profile="short",
        still_works=False,
    ),
    Attack(
        "printed_answer",
        "print an answer instead of giving one",
        (
            Cell(
                f"print({json.dumps({'id': 'x', 'outcome': 'ok', 'value': 'forged', 'blobs': []})!r})\n1/0",
                ("raised",),
                value="",
            ),
        ),
    ),
]
