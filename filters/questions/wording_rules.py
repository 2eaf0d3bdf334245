"""The rules of filters/questions/wording.py, as polars expressions over the columns that it prepares.

The phrases they look for are in filters/questions/wording_phrases.py.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

from typing import NamedTuple

import polars as pl

from filters.questions import wording_phrases as phrases

LONG = 400
"""Characters from which a text is a puzzle or passage with a state of its own, where "the current player" is fixed."""


class WordingRule(NamedTuple):
    """One reason to reject a text: it has one of the `cues`, and the slower expression `holds` for it."""

    code: str
    """The reject's reason."""
    cues: tuple[str, ...]
    """Texts that are looked for all at once (Aho-Corasick); () for any text."""
    holds: pl.Expr
    says: pl.Expr
    """The detail that a person reads."""


def normalised(text: pl.Expr) -> pl.Expr:
    """Words only: no case, no diacritics, no punctuation, single spaces."""
    plain = text.fill_null("").str.normalize("NFKD").str.to_lowercase().str.replace_all(r"\p{M}|['’]", "")
    return plain.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()


RAW = pl.col("raw")
"""The text as it is."""
LINE = pl.col("line")
"""The text in lower case, on one line, with straight apostrophes."""
ANSWER = pl.col("said")
PICTURES = pl.col("pictures")
"""The number of images."""
LISTED = pl.col("listed")
"""The number of choices."""
TASK = pl.col("task")
TYPE = pl.col("answer_type")
SHOWN = RAW.str.slice(0, 200)
"""The part of the text that a reject's detail shows."""


def _quoting(pattern: str) -> pl.Expr:
    phrase = LINE.str.extract(f"({pattern})").str.strip_chars().str.slice(0, 60).fill_null("")
    return pl.format("{}: {}", phrase, SHOWN)


# ---------------------------------------------------------------------------------------------------- is it a text?

_ALNUM = RAW.str.count_matches(r"[\p{L}\p{N}]")


def text_rules() -> list[WordingRule]:
    """The text is a readable text that asks something."""
    long = RAW.str.len_chars()
    entity = RAW.str.contains(phrases.ENTITY) & ~LINE.str.contains(r"\b(?:html|xml|entit(?:y|ies)|escape[ds]?)\b")
    # 12 characters or more of signs, with no two words, no digit and no maths among them.
    signs = (long >= 12) & (long * 4 > _ALNUM * 10) & ~RAW.str.contains(phrases.WORDS) & ~RAW.str.contains(r"[\d=$\\]")
    cut = (long >= 100) & RAW.str.contains(phrases.CUT) & ~RAW.str.contains("?", literal=True)
    cut = cut & ~LINE.str.contains(phrases.CLOZE_END)
    bare = LINE.str.contains(phrases.BARE) & ~LINE.str.contains(rf"^{phrases.ASKS}")
    return [
        WordingRule("garbled_text", (), RAW.str.contains(phrases.MOJIBAKE), pl.format("wrong encoding: {}", SHOWN)),
        WordingRule("garbled_text", ("&",), entity, pl.format("encoded HTML: {}", SHOWN)),
        WordingRule("garbled_text", (), signs, pl.format("no words: {}", SHOWN)),
        WordingRule("garbled_text", ("...", "…"), cut, pl.format("cut off: … {}", RAW.str.slice(-100))),
        WordingRule("nothing_asked", (), (long <= LONG) & LINE.str.contains(phrases.PLACEHOLDER), SHOWN),
        WordingRule("nothing_asked", (), (PICTURES == 0) & (long <= 60) & bare, SHOWN),
    ]


# ------------------------------------------------------------------------------------------ what is spoken of is there


def missing_rules() -> list[WordingRule]:
    """What the text speaks of, images and options, is there."""
    no_picture = PICTURES == 0
    spoken = LINE.str.replace_all(phrases.NOT_SHOWN, "~")
    charted = spoken.str.contains(phrases.IN_CHART) & ~LINE.str.contains(phrases.GRAPH_THEORY)
    as_shown = spoken.str.contains(phrases.AS_SHOWN) & ~RAW.str.contains(r"[:\n$=]")
    figures = LINE.str.contains(phrases.OWN_FIGURES) & ~LINE.str.contains(phrases.GIVEN_FIGURE)
    own = ((TASK == "math") & (LINE.str.contains(phrases.OWN_PICTURES) | figures)) | RAW.str.contains(phrases.TITLED)
    mentioned = (spoken.str.contains(phrases.SHOWN_IN) & ~own) | LINE.str.contains(phrases.IS_SHOWN)
    mentioned = (mentioned | charted | as_shown) & ~RAW.str.contains(phrases.DRAWN)
    marks = RAW.str.count_matches("<image>", literal=True)
    lettered = RAW.str.to_lowercase().str.contains(phrases.LETTERED)

    def unlisted(pattern: str, listed: str) -> pl.Expr:
        """Options are spoken of, and offered neither before nor after that."""
        after = LINE.str.extract(f"(?:{pattern})(.*)$").str.contains(listed)
        before = LINE.str.extract(f"^(.*?)(?:{pattern})").str.contains(r",.*,|\bor\b|[:;]")
        return LINE.str.contains(pattern) & ~after & ~before & ~lettered

    missing = unlisted(phrases.OF_FOLLOWING, phrases.NAMED) | unlisted(
        phrases.FROM_OPTIONS, rf"{phrases.OFFERED}|{phrases.SUMMED}"
    )
    # A picture may show lettered options.
    missing = missing & (no_picture | ~ANSWER.str.contains(r"^\(?[A-Za-z][).]?$"))
    letters = no_picture & ~lettered & LINE.str.contains(rf"\b(?:{phrases.PICK}|answer) {phrases.ONLY_LETTERS}")
    return [
        WordingRule("image_missing", (), (TASK == "perception") & no_picture, pl.lit("no image")),
        WordingRule(
            "image_missing",
            ("<image>",),
            ~no_picture & (marks > PICTURES),
            pl.format("{} <image> marks, {} images", marks, PICTURES),
        ),
        WordingRule("image_mentioned", phrases.PICTURE_CUES, no_picture & mentioned, SHOWN),
        WordingRule(
            "options_missing",
            ("following", "these", "those", "option", "choice", "alternative", "answer", "choose", "select", "pick"),
            (LISTED < 2) & (missing | letters),
            SHOWN,
        ),
    ]


# --------------------------------------------------------------------------------------------- the answer stands there


def leak_rules() -> list[WordingRule]:
    """The text does not tell the answer."""
    words = normalised(ANSWER)
    # By its place if the answer is a letter, otherwise by its text: as the verdict reads it.
    marked = pl.col("choices").list.eval(pl.element().fill_null("").str.contains(phrases.MARK))
    only = marked.list.sum() == 1
    letter = ANSWER.str.extract(r"^\(?([A-Za-z])[).]?$").str.to_uppercase().str.to_integer(base=36, strict=False) - 10
    told = marked.list.get(letter, null_on_oob=True).fill_null(ANSWER.str.contains(phrases.MARK))
    chosen = pl.col("choices").list.get(letter, null_on_oob=True).fill_null(ANSWER)
    inline = RAW.str.contains(r"(?i)\((?:correct|right)(?: answer| option| choice)?\)|[✓✔☑]")
    # The last one, the first one, and what follows "A:" at the end.
    tails = [
        LINE.str.extract(rf"^.*{phrases.SAID}"),
        LINE.str.extract(phrases.SAID),
        LINE.str.extract(r"(?:^|\s)a: ?([^:]{1,60})$"),
    ]
    told_at_once = pl.lit(False)
    for tail in tails:
        rest = pl.format("{} ", normalised(tail))
        for text in (words, normalised(chosen)):
            starts = rest.str.starts_with(pl.format("{} ", text)) & (text != "")
            # "Answer: yes or no", "answer = 1 if true" tell how to answer.
            form = rest.str.slice(text.str.len_chars()).str.contains(r"^ (?:or|if|when|for|to|and|otherwise|no)\b")
            told_at_once = told_at_once | (starts & ~form)
    boxed = (ANSWER != "") & RAW.str.contains(pl.concat_str(pl.lit("\\boxed{"), ANSWER, pl.lit("}")), literal=True)
    # The sentence that asks, except where the whole text is one question about the world.
    asking = RAW.str.extract(r"([^.?!\n]*\?)[^?]*$").fill_null(RAW)
    asking = pl.when(TASK == "search").then(RAW).otherwise(asking)
    picked = LINE.str.contains(phrases.PICKED) | asking.str.contains(r",[^,]+(?:,| and )|[\"“:]")
    in_question = (
        (TYPE == "short_text")
        & (TASK != "math")
        & (words.str.len_chars() > 1)
        & pl.format(" {} ", normalised(asking.str.replace_all(r"['’]s\b", ""))).str.contains(
            pl.format(" {} ", words), literal=True
        )
        & ~picked
    )
    return [
        WordingRule(
            "option_marked", (), (LISTED > 1) & only & told, pl.col("choices").list.join(" | ", ignore_nulls=True)
        ),
        WordingRule(
            "option_marked", ("(correct", "(right", "✓", "✔", "☑"), inline & LINE.str.contains(phrases.LETTERED), SHOWN
        ),
        WordingRule(
            "answer_given",
            ("answer", "ans:", "ans =", "solution", " a:"),
            told_at_once,
            pl.format("answer {}: {}", ANSWER.str.slice(0, 60), SHOWN),
        ),
        WordingRule("answer_given", ("\\boxed",), boxed, pl.format("answer {}: {}", ANSWER.str.slice(0, 60), SHOWN)),
        WordingRule(
            "answer_given",
            ("solution", "explanation", "rationale", "answer key", "####"),
            RAW.str.contains(phrases.SOLUTION),
            SHOWN,
        ),
        WordingRule("answer_in_question", (), in_question, pl.format("answer: {}", ANSWER.str.slice(0, 100))),
    ]


# ------------------------------------------------------------------------------------------------ one clear question


def question_rules() -> list[WordingRule]:
    """The text asks one clear question with one answer."""
    no_picture = PICTURES == 0
    alone = no_picture & ~RAW.str.contains(phrases.REFERENT)
    pronoun = (
        RAW.str.contains(phrases.PRONOUN) & ~LINE.str.contains(phrases.TITLE) & ~RAW.str.contains(r"[.!?:;,]\s+\S")
    )
    one = (TYPE != "set") & ~ANSWER.str.contains(r"[,;/&]| and ")
    two = LINE.str.contains(phrases.TWO_IN_ONE) | LINE.str.contains(phrases.TWO_AFTER)
    numbered = LINE.str.contains(phrases.NUMBERED)
    open_ended = (LISTED < 2) & (pl.col("aliases").list.len().fill_null(0) == 0)
    # In mathematics "describe all solutions" has one answer, and a survey may ask for a favourite colour.
    imperative = LINE.str.replace_all(phrases.QUOTED, "~").str.contains(phrases.TO_WRITE) & ~RAW.str.contains(
        phrases.IN_TITLE
    )
    read = ~no_picture & (TASK == "perception") & (ANSWER.str.len_chars() <= 40) & LINE.str.contains(phrases.TO_READ)
    to_write = open_ended & imperative & ~read & ~LINE.str.contains(phrases.SAYS_ONE)
    to_write = (LINE.str.len_chars() <= LONG) & to_write & ((TASK != "math") | (TYPE == "short_text"))
    return [
        WordingRule(
            "ambiguous",
            (),
            no_picture & (LISTED < 2) & (RAW.str.len_chars() <= 120) & LINE.str.contains(phrases.ONLY_FUNCTION),
            pl.format("nothing it could be about: {}", SHOWN),
        ),
        WordingRule(
            "ambiguous",
            (" he", " she", " hi", " her"),
            no_picture & (RAW.str.len_chars() <= 160) & pronoun,
            pl.format("a pronoun that stands for nothing: {}", SHOWN),
        ),
        WordingRule(
            "ambiguous",
            ("this ", "these "),
            alone & (RAW.str.len_chars() <= 120) & LINE.str.contains(phrases.DEICTIC),
            pl.format("nothing that it points at: {}", SHOWN),
        ),
        WordingRule(
            "several_questions",
            (" and ", "? ", "(b)", "2)", "2."),
            one & ((two & ~LINE.str.contains(phrases.TOGETHER)) | LINE.str.contains(phrases.AND_IT) | numbered),
            SHOWN,
        ),
        WordingRule(
            "no_single_answer",
            (" you", "meaning of", "should i", "best way"),
            (TASK != "math") & RAW.str.contains(phrases.OPINION) & (no_picture | ~RAW.str.contains(phrases.GUESS)),
            SHOWN,
        ),
        WordingRule(
            "no_single_answer",
            ("describe", "discuss", "elaborate", "summari", "comment", "reflect", "tell ", "write", "compose",
             "draft", "create", "invent", "explain", "give ", "name ", "list ", "mention", "suggest"),
            to_write,
            _quoting(phrases.TO_WRITE),
        ),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ for how long?


def time_rules() -> list[WordingRule]:
    """The answer stays the same over the years."""
    dated = LINE.str.replace_all(phrases.EVENT_DATE, "~").str.contains(phrases.DATED)
    plain = LINE.str.replace_all(phrases.OTHER_SENSE, "~").str.replace(phrases.OVER, "~")
    # "Today" in the middle of a sentence is a name: of a paper, a programme, a song.
    now = (
        plain.str.contains(phrases.NOW)
        & ~LINE.str.contains(phrases.IN_A_STORY)
        & ~RAW.str.contains(r"\S (?:The )?Today\b")
    )
    searched = (TASK == "search") & pl.when(PICTURES == 0).then(now).otherwise(plain.str.contains(phrases.NOW_ABROAD))
    searched = searched & (LINE.str.len_chars() <= LONG)
    return [
        WordingRule("time_bound", phrases.TIME_CUES, searched & ~dated, _quoting(f"{phrases.NOW}|{phrases.NOW_ABROAD}"))
    ]
