"""A table of question texts with known near duplicates: what benchmarks/questions/text.py measures on.

Four kinds of questions, each text once: about a picture (35 %), word problems (15 %), searches with made-up names
(20 %) and free text of Zipf-distributed words (30 %, up to 400 words). About 19 words in the median. Many come from one
template and differ in one or two words only, as they do in the datasets of the field. Planted among them, each with a
random earlier question as its original:

- near duplicates (10 %): one or two of another case, other punctuation, an article added or dropped, a word that means
  nothing here added, a polite beginning, a slip of the pen in a word of at least five letters (as people make them:
  hardly ever in the first letter);
- questions with another number (2.5 %) and questions about something else (2.5 %): one word exchanged for one of the
  same part of speech. Neither is a duplicate.
"""

# ruff: noqa: E501, SIM905 - templates and lists of words

import re
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

NEAR, OTHER_NUMBER, OTHER_THING = 0.10, 0.025, 0.025
"""Shares of the rows that are planted."""

_COLOURS = "red blue green yellow black white orange purple brown silver golden striped wooden metal plastic".split()
_THINGS = (
    "bicycle umbrella sandwich elephant backpack skateboard refrigerator giraffe keyboard bottle surfboard laptop train "
    "pizza toothbrush microwave suitcase airplane motorcycle zebra kite scissors teddybear snowboard hydrant donut "
    "broccoli carrot banana truck bench clock vase candle pillow mirror curtain lantern basket ladder bucket helmet "
    "guitar violin trumpet camera telescope notebook envelope cushion blanket kettle teapot saucer"
).split()
_PLACES = (
    "on the table;near the window;behind the fence;in the foreground;next to the road;under the bridge;by the door;"
)
_PLACES = (_PLACES + "at the left edge;at the right edge;in the background;between the buildings;in the corner").split(
    ";"
)
_PICTURE = [
    "How many {colour} {thing}s are there {place}, not counting the {other} {second}?",
    "What is the color of the {thing} that stands {place} beside the {other} {second}?",
    "Is there a {colour} {thing} {place}, and is it larger than the {other} {second} that lies further away?",
    "What brand name is written on the {colour} {thing} {place} below the {other} {second}?",
    "In the image, which object is closer to the {colour} {thing}: the {other} {second} or whatever is found {place}?",
    "Which of the persons {place} is holding the {colour} {thing} while looking at the {other} {second}?",
    "What does the sign {place} above the {colour} {thing} say about the {other} {second}?",
    "Is the {colour} {thing} {place} on the left or on the right side of the {other} {second}?",
    "What number is printed on the {colour} {thing} {place}?",
    "Looking at the chart printed on the {colour} {thing} {place}, which category is the largest for the {second}?",
]
_PROBLEM = [
    "{name} has {a} {colour} {thing}s and buys {b} more every week. After {c} weeks {name} gives {d} of them to {friend}. "
    "How many {thing}s does {name} have left?",
    "A shop in {town} sells a {thing} for {a} dollars and a {second} for {b} dollars. {name} buys {c} of the first and {d} "
    "of the second. How much does {name} pay in total?",
    "The price of a {colour} {thing} rises from {a} to {b} dollars within {c} years. What is the increase in percent?",
    "If x^2 + {a}x = {b} and y - {c} = {d}, what is the value of x + y?",
    "{name} and {friend} share {a} {thing}s in the ratio {b}:{c}. How many does {friend} get if {d} of them are broken?",
    "A train leaves {town} at {b} km per hour and covers {a} km. {name} waits {c} minutes for the {colour} {thing} and then "
    "walks {d} km to the station of the next town. How long does the whole journey take?",
]
_SEARCH = [
    "Who was the {role} of {town} when {name} {family} founded the {thing} museum?",
    "In which year did {name} {family} win the {town} prize for research on the {colour} {thing}?",
    "What is the name of the company from {town} that made the first {colour} {thing} for {name} {family}?",
    "How tall is the {thing} tower that the {role} {name} {family} built in {town}?",
    "Which film about a {colour} {thing} did {name} {family}, born in {town}, direct before becoming a {role}?",
    "Where did the {role} {name} {family} live before moving to {town} with the inventor of the {thing}?",
]
_ROLES = (
    "mayor governor architect bishop painter composer minister ambassador chairman headmaster librarian admiral".split()
)
_BEGINNINGS = (
    "Please tell me: ",
    "Could you tell me, ",
    "Can you please answer: ",
    "Kindly answer the question: ",
    "Hello, ",
)
_IDLE = ("please", "really", "actually", "exactly", "just", "kindly")
_SLIP_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _made_up(random: np.random.Generator, count: int, syllables: tuple[int, int]) -> list[str]:
    """Different words that can be spoken."""
    parts = np.array([c + v + e for c in "bdfgklmnprstvz" for v in "aeiou" for e in ("", "n", "r", "l", "s")])
    words: dict[str, None] = {}
    while len(words) < count:
        lengths = random.integers(syllables[0], syllables[1] + 1, count)
        words |= dict.fromkeys("".join(random.choice(parts, length)) for length in lengths)
    return list(words)[:count]


def _filled(
    random: np.random.Generator, templates: Sequence[str], rows: int, words: dict[str, Sequence[str]]
) -> pl.Series:
    """Texts made of random templates and words; the slots a to d are numbers."""
    columns = {name: np.array(choice)[random.integers(0, len(choice), rows)] for name, choice in words.items()}
    columns |= {name: random.integers(2, high, rows) for name, high in zip("abcd", (900, 90, 60, 40), strict=True)}
    frame = pl.DataFrame({**columns, "template": random.integers(0, len(templates), rows)})
    text = pl.lit("")
    for number, template in enumerate(templates):
        filled = pl.format(re.sub(r"\{\w+\}", "{}", template), *re.findall(r"\{(\w+)\}", template))
        text = pl.when(pl.col("template") == number).then(filled).otherwise(text)
    return frame.select(text.alias("text")).to_series()


def _free(random: np.random.Generator, rows: int, vocabulary: Sequence[str]) -> pl.Series:
    """Texts of Zipf-distributed words, of log-normal lengths."""
    lengths = np.clip(random.lognormal(3.2, 0.7, rows), 6, 400).astype(np.int64)
    ranks = np.minimum(random.zipf(1.15, lengths.sum()), 2**40) % len(vocabulary)
    words = pl.DataFrame({"row": np.repeat(np.arange(rows), lengths), "word": np.array(vocabulary)[ranks]})
    return (
        words.group_by("row", maintain_order=True)
        .agg(pl.col("word").str.join(" "))
        .select(pl.col("word") + "?")
        .to_series()
    )


def _slip(text: str, random: np.random.Generator) -> str:
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long:
        return _case(text, random)
    at = long[random.integers(len(long))]
    word, place = words[at], int(random.integers(1, len(words[at]) - 1))
    words[at] = (
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place + 1 :],
        word[:place] + word[place] + word[place:],
        word[:place] + _SLIP_LETTERS[random.integers(26)] + word[place + 1 :],
    )[random.integers(4)]
    return " ".join(words)


def _case(text: str, random: np.random.Generator) -> str:
    return (text.lower(), text.upper(), text.title())[random.integers(3)]


def _punctuation(text: str, random: np.random.Generator) -> str:
    return (text.rstrip("?."), text + "?", text.replace(",", ""), f'"{text}"', text.rstrip("?") + " ?")[
        random.integers(5)
    ]


def _article(text: str, random: np.random.Generator) -> str:
    if " the " in text:
        return text.replace(" the ", (" ", " a ")[random.integers(2)], 1)
    return "The " + text


def _idle_word(text: str, random: np.random.Generator) -> str:
    words = text.split(" ")
    words.insert(int(random.integers(1, len(words) + 1)), _IDLE[random.integers(len(_IDLE))])
    return " ".join(words)


def _beginning(text: str, random: np.random.Generator) -> str:
    return _BEGINNINGS[random.integers(len(_BEGINNINGS))] + text[:1].lower() + text[1:]


_EDITS: tuple[Callable[[str, np.random.Generator], str], ...] = (
    _slip,
    _case,
    _punctuation,
    _article,
    _idle_word,
    _beginning,
)


def _near(text: str, random: np.random.Generator) -> str:
    for edit in random.permutation(len(_EDITS))[: random.integers(1, 3)]:
        text = _EDITS[edit](text, random)
    return text


def _with_other_number(text: str, random: np.random.Generator) -> str:
    """Empty if there is none."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if word.isdigit()]
    if not places:
        return ""
    at = places[random.integers(len(places))]
    words[at] = str(int(words[at]) + int(random.integers(1, 9)))
    return " ".join(words)


def _about_something_else(text: str, random: np.random.Generator) -> str:
    """Empty if none of the words can be exchanged."""
    words = text.split(" ")
    known = [(i, group) for i, word in enumerate(words) for group in (_COLOURS, _THINGS, _ROLES) if word in group]
    if not known:
        return ""
    at, group = known[random.integers(len(known))]
    others = [word for word in group if word != words[at]]
    # Every place of the word: "Ann has red kites. How many kites ..." is not about two things.
    other = others[random.integers(len(others))]
    return " ".join(other if word == words[at] else word for word in words)


def make(n: int, seed: int = 0) -> pl.DataFrame:
    """n rows: text, plant ("", "near", "number" or "thing") and original (row of the question it was made from, before
    it; null where nothing is planted). The same for the same n and seed."""
    random = np.random.default_rng(seed)
    planted = {
        name: int(n * share) for name, share in (("near", NEAR), ("number", OTHER_NUMBER), ("thing", OTHER_THING))
    }
    base = n - sum(planted.values())
    names, families, towns = (_made_up(random, count, (2, 3)) for count in (800, 8_000, 3_000))
    vocabulary = [*"the of and to in is what a that it for was on are as with how they at be this have from".split()]
    vocabulary += _made_up(random, 30_000, (1, 4))
    words = {
        "colour": _COLOURS, "other": _COLOURS, "thing": _THINGS, "second": _THINGS, "place": _PLACES, "role": _ROLES,
        "name": [name.title() for name in names], "friend": [name.title() for name in names],
        "family": [name.title() for name in families], "town": [name.title() for name in towns],
    }  # fmt: skip
    texts: list[pl.Series] = []
    for templates, share in ((_PICTURE, 0.35), (_PROBLEM, 0.15), (_SEARCH, 0.2)):
        wanted, kind = int(base * share), pl.Series("text", [], dtype=pl.String)
        while len(kind) < wanted:
            kind = kind.append(_filled(random, templates, int(wanted * 1.1) + 10, words)).unique(maintain_order=True)
        texts.append(kind[:wanted])
    texts.append(_free(random, base - sum(map(len, texts)), vocabulary).alias("text"))
    questions = pl.concat(texts, rechunk=True)
    questions = questions[random.permutation(base)]
    # Every plant stands at a random place behind its original: sorted by a time that is its original's or later.
    made, origins, plants = [], [], []
    changes = {"near": _near, "number": _with_other_number, "thing": _about_something_else}
    for plant, count in planted.items():
        order = iter(random.permutation(base).tolist())
        for _ in range(count):
            while True:
                origin = next(order)
                text = questions[origin]
                new = changes[plant](text, random)
                if new and new != text:
                    break
            made.append(new)
            origins.append(origin)
            plants.append(plant)
    own = np.arange(base, dtype=np.float64)
    later = np.array(origins) + 1 + random.random(len(origins)) * (base - np.array(origins))
    table = pl.DataFrame(
        {
            "text": pl.concat([questions, pl.Series(made, dtype=pl.String)]),
            "plant": [""] * base + plants,
            "of": [None] * base + origins,
            "id": [*range(base), *([None] * len(made))],
            "time": np.concatenate([own, later]),
        },
        schema_overrides={"of": pl.Int64, "id": pl.Int64},
    )
    table = table.sort("time", maintain_order=True).with_row_index("row")
    at = table.select(of="id", original=pl.col("row").cast(pl.Int64)).drop_nulls()
    return table.join(at, on="of", how="left", maintain_order="left").select("text", "plant", "original")
