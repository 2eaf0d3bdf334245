"""Does the text ask one clear question that has the same single answer next year? If not it is rejected, with a reason.

A pure function over a table of questions; every rule is a polars expression, and a question that breaks several rules
is rejected once, for the first in this order:

    garbled_text        a wrong encoding, encoded HTML, broken LaTeX escapes, no words, cut off in mid-sentence
    nothing_asked       a URL, a bare word or two, a placeholder ("TODO", "[INSERT NAME]", "{question}", "nan")
    image_missing       a perception question without an image, or fewer images than `<image>` marks
    image_mentioned     the text speaks of an image (chart, figure, …), and there is none, nor a table or drawing in it
    options_missing     "which of the following", "the options below", … and no options, neither listed nor in the text
    option_marked       the right one is marked, as in "Paris (correct)" or "*Paris"
    answer_given        the text says "Answer: Paris", "the answer is Paris", \\boxed{Paris}, or holds a solution
    answer_in_question  the text holds a short answer in its own words
    ambiguous           only function words and pronouns, "he" or "this building" with nothing they could stand for
    several_questions   two questions and one answer
    no_single_answer    asks for an opinion, a description, a text to be written, or any one of many
    time_bound          "current", "latest", "how old is", an office held today, and no date that fixes it

The phrases are English; a text in another language passes all rules but the first five. Each rule is kept narrow: a
rule takes a phrase only where it cannot well mean anything else ("electric current", "in the last year of her life",
"the image of a point under a reflection" stay). Word problems are no less exact for "today" or "currently", so
`time_bound` leaves mathematics alone, and what an image shows does not change either.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

from typing import NamedTuple

import polars as pl

from filters.rejects import reject_rows
from records.question_rules import Wording

STAGE = "wording"
_ROWS = 50_000
"""Rows looked at at once: bounds the memory that copies of the texts take."""
_LONG = 400
"""Characters from which a text is a puzzle or passage with a state of its own, where "the current player" is fixed."""


class Rule(NamedTuple):
    """Holds for a row where its text has one of the `cues` (found at once by Aho-Corasick; () for any text) and the
    slower expression agrees. `says` is the detail that a person reads."""

    code: str
    cues: tuple[str, ...]
    holds: pl.Expr
    says: pl.Expr


def normalised(text: pl.Expr) -> pl.Expr:
    """Words only: no case, no diacritics, no punctuation, single spaces."""
    plain = text.fill_null("").str.normalize("NFKD").str.to_lowercase().str.replace_all(r"\p{M}|['’]", "")
    return plain.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()


RAW = pl.col("raw")  # the text as it is
LINE = pl.col("line")  # in lower case, on one line, with straight apostrophes
ANSWER = pl.col("said")
PICTURES, LISTED = pl.col("pictures"), pl.col("listed")  # how many
TASK, TYPE = pl.col("task"), pl.col("answer_type")
SHOWN = RAW.str.slice(0, 200)


def _quoting(pattern: str) -> pl.Expr:
    phrase = LINE.str.extract(f"({pattern})").str.strip_chars().str.slice(0, 60).fill_null("")
    return pl.format("{}: {}", phrase, SHOWN)


# ---------------------------------------------------------------------------------------------------- is it a text?

_MOJIBAKE = (
    r"Ã[\x{80}-\x{BF}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|Â[\x{A0}-\x{BA}\x{BC}-\x{BF}]|ï¿½|\x{FFFD}"
    r"|[\x00-\x08\x0e-\x1f\x7f]"
    r"|\x0crac|\t(?:imes|heta|ext\{)"  # \frac, \times, \theta, \text read as control characters
)
_ENTITY = r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4});"
_WORDS = r"\p{L}{2}[^\p{L}]+(?:\p{L}[^\p{L}]+)*\p{L}{2}"
_CUT = r"\p{L}(?:\.{3}|…)$"
_CLOZE_END = r"\b(?:is|are|was|were|be|called|named|as|equals) ?(?:\.{3}|…)$"
_ALNUM = RAW.str.count_matches(r"[\p{L}\p{N}]")

_PLACEHOLDER = (
    r"^(?:https?://\S+|www\.\S+|\S+\.(?:png|jpe?g|gif|webp|pdf))$"
    r"|^(?:nan|none|null|n/?a|undefined|unknown|question|test|lorem ipsum.*|"
    r"<question>|\[?(?:blank|deleted|removed)\]?|[\W_]+)$"
    r"|^\W*(?:todo|tbd|fixme)(?:\W|$)|\b(?:tbd|fixme)\W*$|\btodo:"
    r"|\[(?:insert|your|todo|question|deleted|removed)\b[^\[\]]{0,40}\]"
    r"|(?:^|[^\\a-z_^}])\{(?:question|query|input|prompt|context|text|name)\}|\{\{ ?[a-z_]{3,} ?\}\}"
    r"|\b(?:of|in|for|by|to|than|does|did) (?:nan|null|undefined)\W*$"
)
_ASKS = (
    r"(?:spell|reverse|translate|define|name|find|solve|evaluate|simplify|compute|calculate|factor(?:i[sz]e)?|expand|"
    r"differentiate|integrate|count|read|transcribe|describe|identify|convert|unscramble|guess|list|prove|determine|"
    r"estimate|sort|who|what|where|when|why|how|which|whose|is|are|was|were|does|did|do|can)\b"
)
_BARE = r"^\p{Latin}[\p{Latin}'-]*(?: \p{Latin}[\p{Latin}'-]*)?[.!]?$"


def _text_rules() -> list[Rule]:
    long = RAW.str.len_chars()
    entity = RAW.str.contains(_ENTITY) & ~LINE.str.contains(r"\b(?:html|xml|entit(?:y|ies)|escape[ds]?)\b")
    # 12 characters or more of signs, with no two words, no digit and no maths among them.
    signs = (long >= 12) & (long * 4 > _ALNUM * 10) & ~RAW.str.contains(_WORDS) & ~RAW.str.contains(r"[\d=$\\]")
    cut = (long >= 100) & RAW.str.contains(_CUT) & ~RAW.str.contains("?", literal=True)
    cut = cut & ~LINE.str.contains(_CLOZE_END)
    bare = LINE.str.contains(_BARE) & ~LINE.str.contains(rf"^{_ASKS}")
    return [
        Rule("garbled_text", (), RAW.str.contains(_MOJIBAKE), pl.format("wrong encoding: {}", SHOWN)),
        Rule("garbled_text", ("&",), entity, pl.format("encoded HTML: {}", SHOWN)),
        Rule("garbled_text", (), signs, pl.format("no words: {}", SHOWN)),
        Rule("garbled_text", ("...", "…"), cut, pl.format("cut off: … {}", RAW.str.slice(-100))),
        Rule("nothing_asked", (), (long <= _LONG) & LINE.str.contains(_PLACEHOLDER), SHOWN),
        Rule("nothing_asked", (), (long <= 60) & bare, SHOWN),
    ]


# ------------------------------------------------------------------------------------------ what is spoken of is there

_PICTURE = "(?:image|picture|photo|photograph|figure|diagram|screenshot|illustration)s?"
_CHART = "(?:(?:bar|pie|line) (?:chart|graph)|chart|graph|table)s?"
_ANY = f"(?:{_PICTURE}|{_CHART}|(?:map|plot|sketch|drawing)s?)"
_THERE = (
    r"(?:above|below)(?: ?[,.;:?!)]| (?:shows?|lists?|gives?|is|are|has|depicts|and|to|find|what|which|how|we|by)\b|$)"
)
_GIVEN = r"(?:given |attached |shown |above |below |following |provided |accompanying |displayed |entire |whole )?"
_NOT_SHOWN = (
    # Words of these that mean something else, taken out before the text is searched.
    r"\b(?:pre-?images?|images? (?:of (?:the |a |an )?(?:points?|lines?|segments?|intervals?|sets?|functions?|map|"
    r"triangles?|vertex|vertices|circles?|parabolas?|graphs?|\$|[a-z]\b)|under)|(?:motion |best |moving )pictures?|"
    r"picture (?:directed|starring|produced|book|frame|academy|award)s?|"
    r"(?:photo|image|picture) (?:titled|entitled|called|editing|processing)|(?:graph|plot|map|table)s? of|"
    r"figures? (?:bounded|enclosed|formed|obtained|consisting)|"
    r"(?:periodic|multiplication|truth|times|dining|coffee|kitchen|league|round) tables?)"
)
_SHOWN_IN = (
    rf"<image>|<img\b|!\[[^\]]*\]\(|\[image\]|\b(?:in|see|from) fig(?:ure|\.)? ?\d"
    rf"|\b(?:in|from|of|see|using|at) (?:the|this|that|these) {_GIVEN}{_PICTURE}\b"
    r"|\b(?:by|on|to) (?:the|this) (?:figure|diagram|image|screenshot)s?\b"
    rf"|\b(?:the|this) {_ANY} (?:(?:shows|depicts) (?:an?|the|how|that|data|part|two|three|some|several)\b|"
    rf"(?:shown |given |provided )?{_THERE}|(?:on the|at) (?:left|right)\b)"
    rf"|\b(?:above|below|following|attached|accompanying|provided) {_ANY}\b"
    rf"|\bdoes (?:the|this) {_ANY} (?:show|represent|depict|illustrate)\b"
    rf"|\b(?:refer(?:ring)? to|look(?:ing)? at) (?:the|this) {_ANY}\b"
    r"|\b(?:highlighted|marked|shaded|labell?ed|circled|colou?red)[^.?!]* (?:on|in) (?:the|this) (?:map|graph|chart)\b"
    rf"|\b(?:as|is|are) (?:shown|seen|depicted|pictured|illustrated) (?:in|on) (?:the|this|fig) ?{_GIVEN}{_ANY}?\b"
)
_IN_CHART = rf"\b(?:in|according to|see|using|based on) (?:the|this) {_GIVEN}{_CHART}\b"
_IS_SHOWN = r"\b(?:graph|plot)s? of [^.?!]{1,60} (?:is|are) (?:shown|drawn|sketched|plotted|depicted)\b"
_TITLED = r"\b(?:[Pp]hoto|[Pp]hotograph|[Pp]icture|[Ii]mage) [\"“\p{Lu}]"
_GRAPH_THEORY = r"\b(?:vertex|vertices|edges?|nodes?)\b"
# A word problem about pictures introduces them itself.
_OWN_PICTURES = (
    r"\b(?:an?|each|every|one|his|her|their|my|several|some|of|many|\d+) (?:[a-z]+ )?"
    r"(?:picture|photo|photograph|image)s?\b"
)
_AS_SHOWN = (
    r"\bas (?:shown|depicted|pictured|illustrated)(?: (?:above|below|here))? ?[.,;?)]"
    r"|\b(?:shown|pictured|depicted|displayed) (?:above|below|here) ?[.,;?)]"
)
# What is spoken of stands in the text: a drawing as code, a table, rows of numbers.
_DRAWN = (
    r"\[asy\]|\\begin\{(?:tabular|array|[pbv]?matrix|tikzpicture)|<table|<svg|\|[^|\n]*\|[^|\n]*\n?[^|\n]*\||\n[^\n]*\t"
    r"|\n[^\n]*\d[^\n]*\d[^\n]*\n[^\n]*\d|```"
)
_PICTURE_CUES = (
    "image", "picture", "photo", "figure", "diagram", "screenshot", "illustrat", "shown", "chart", "graph", "table",
    "map", "plot", "sketch", "drawing", "depict", "displayed", "fig", "<img", "![",
)  # fmt: skip

_OF_FOLLOWING = (
    r"\b(?:which|what|how many|any|one|none|all|each|either) (?:one |ones )?of the following\b"
    r"|\bwhich (?:one |ones )?of (?:these|those)\b"
)
_PICK, _OPTIONS = "(?:choose|select|pick)", "(?:options|choices|alternatives|answers)"
_FROM_OPTIONS = (
    rf"\b(?:the|these) (?:answer )?{_OPTIONS} (?:below|above|given|provided|listed)"
    rf"|\b(?:following|given|provided|above|below|listed) (?:answer )?{_OPTIONS}\b"
    rf"|\b{_PICK}(?: one)? (?:from|among) (?:the|these) (?:following|list|{_OPTIONS})\b"
    rf"|\b{_PICK} the (?:single )?(?:correct|best|right|most \w+|appropriate) (?:answer|option|choice|letter|response)"
    r"|\b(?:answer|respond|reply) with (?:the |an? )?(?:correct )?(?:option|choice|letter)(?:'s)?\b"
    r"|\b(?:option|choice) letter\b"
    r"|\bwhich (?:option|choice|answer|alternative|statement)s? (?:is|are|best|correctly)\b"
)
_LETTERED = (
    r"(?s)(?:^|[\s(\[])a ?[).:\]] ?[^\s(),].*[\s(\[]b ?[).:\]] ?[^\s(),]|(?:^|\s)1[).] ?\S.*\s2[).] ?\S"
    r"|(?:^|\n)\s*[-*•] .*\n\s*[-*•] "
)
_ONLY_LETTERS = r"\(?a\)?,? ?\(?b\)?,? ?(?:\(?c\)?,? ?)?(?:\(?d\)?,? ?)?(?:or|and|/) ?\(?[b-e]\)?(?:\W|$)"
_OFFERED = r"\bor\b|,.*,|;"
_NAMED = rf"{_OFFERED}|:|\d\D+\d|[\"“'$].+[\"”'$]"


def _missing_rules() -> list[Rule]:
    no_picture = PICTURES == 0
    spoken = LINE.str.replace_all(_NOT_SHOWN, "~")
    charted = spoken.str.contains(_IN_CHART) & ~LINE.str.contains(_GRAPH_THEORY)
    as_shown = spoken.str.contains(_AS_SHOWN) & ~RAW.str.contains(r"[:\n$=]")
    own = ((TASK == "math") & LINE.str.contains(_OWN_PICTURES)) | RAW.str.contains(_TITLED)
    mentioned = (spoken.str.contains(_SHOWN_IN) & ~own) | LINE.str.contains(_IS_SHOWN)
    mentioned = (mentioned | charted | as_shown) & ~RAW.str.contains(_DRAWN)
    marks = RAW.str.count_matches("<image>", literal=True)
    lettered = RAW.str.to_lowercase().str.contains(_LETTERED)

    def unlisted(pattern: str, listed: str) -> pl.Expr:
        """Options are spoken of, and offered neither before nor after that."""
        after = LINE.str.extract(f"(?:{pattern})(.*)$").str.contains(listed)
        before = LINE.str.extract(f"^(.*?)(?:{pattern})").str.contains(r",.*,|\bor\b|[:;]")
        return LINE.str.contains(pattern) & ~after & ~before & ~lettered

    missing = unlisted(_OF_FOLLOWING, _NAMED) | unlisted(_FROM_OPTIONS, _OFFERED)
    # A picture may show lettered options.
    missing = missing & (no_picture | ~ANSWER.str.contains(r"^\(?[A-Za-z][).]?$"))
    letters = no_picture & ~lettered & LINE.str.contains(rf"\b(?:{_PICK}|answer) {_ONLY_LETTERS}")
    return [
        Rule("image_missing", (), (TASK == "perception") & no_picture, pl.lit("no image")),
        Rule(
            "image_missing",
            ("<image>",),
            ~no_picture & (marks > PICTURES),
            pl.format("{} <image> marks, {} images", marks, PICTURES),
        ),
        Rule("image_mentioned", _PICTURE_CUES, no_picture & mentioned, SHOWN),
        Rule(
            "options_missing",
            ("following", "these", "those", "option", "choice", "alternative", "answer", "choose", "select", "pick"),
            (LISTED < 2) & (missing | letters),
            SHOWN,
        ),
    ]


# --------------------------------------------------------------------------------------------- the answer stands there

_MARK = r"^\s*(?:\*[^*]|[✓✔☑])|(?:[^*]\*|[✓✔☑])\s*$|(?i)[(\[](?:correct|right|true)(?: answer| option| choice)?[)\]]"
_SAID = r"\b(?:answer|ans|solution)(?: is|\s*[:=])\s*[:=]?\s*(.{1,120})"
_SOLUTION = (
    r"(?im)^\s*\**(?:solution|explanation|rationale|answer key|worked solution)\**\s*:\**\s*\S.{15}|####\s*[\d-]"
)
_PICKED = (
    r"\b(?:or|between|among|out of|versus|vs|than|compared|which of|both|either|whether|spell(?:ed|ing)?|unscramble|"
    r"rearrange|sort|words?|letters?)\b"
)


def _leak_rules() -> list[Rule]:
    words = normalised(ANSWER)
    # By its place if the answer is a letter, otherwise by its text: as the verdict reads it.
    marked = pl.col("choices").list.eval(pl.element().fill_null("").str.contains(_MARK))
    only = marked.list.sum() == 1
    letter = ANSWER.str.extract(r"^\(?([A-Za-z])[).]?$").str.to_uppercase().str.to_integer(base=36, strict=False) - 10
    told = marked.list.get(letter, null_on_oob=True).fill_null(ANSWER.str.contains(_MARK))
    chosen = pl.col("choices").list.get(letter, null_on_oob=True).fill_null(ANSWER)
    inline = RAW.str.contains(r"(?i)\((?:correct|right)(?: answer| option| choice)?\)|[✓✔☑]")
    # The last one, the first one, and what follows "A:" at the end.
    tails = [LINE.str.extract(rf"^.*{_SAID}"), LINE.str.extract(_SAID), LINE.str.extract(r"(?:^|\s)a: ?([^:]{1,60})$")]
    given = pl.lit(False)
    for tail in tails:
        rest = pl.format("{} ", normalised(tail))
        for text in (words, normalised(chosen)):
            starts = rest.str.starts_with(pl.format("{} ", text)) & (text != "")
            # "Answer: yes or no", "answer = 1 if true" tell how to answer.
            form = rest.str.slice(text.str.len_chars()).str.contains(r"^ (?:or|if|when|for|to|and|otherwise|no)\b")
            given = given | (starts & ~form)
    boxed = (ANSWER != "") & RAW.str.contains(pl.concat_str(pl.lit("\\boxed{"), ANSWER, pl.lit("}")), literal=True)
    # The sentence that asks, except where the whole text is one question about the world.
    asking = RAW.str.extract(r"([^.?!\n]*\?)[^?]*$").fill_null(RAW)
    asking = pl.when(TASK == "search").then(RAW).otherwise(asking)
    picked = LINE.str.contains(_PICKED) | asking.str.contains(r",[^,]+(?:,| and )|[\"“:]")
    held = (
        (TYPE == "short_text")
        & (TASK != "math")
        & (words.str.len_chars() > 1)
        & pl.format(" {} ", normalised(asking.str.replace_all(r"['’]s\b", ""))).str.contains(
            pl.format(" {} ", words), literal=True
        )
        & ~picked
    )
    return [
        Rule("option_marked", (), (LISTED > 1) & only & told, pl.col("choices").list.join(" | ", ignore_nulls=True)),
        Rule("option_marked", ("(correct", "(right", "✓", "✔", "☑"), inline & LINE.str.contains(_LETTERED), SHOWN),
        Rule(
            "answer_given",
            ("answer", "ans:", "ans =", "solution", " a:"),
            given,
            pl.format("answer {}: {}", ANSWER.str.slice(0, 60), SHOWN),
        ),
        Rule("answer_given", ("\\boxed",), boxed, pl.format("answer {}: {}", ANSWER.str.slice(0, 60), SHOWN)),
        Rule(
            "answer_given",
            ("solution", "explanation", "rationale", "answer key", "####"),
            RAW.str.contains(_SOLUTION),
            SHOWN,
        ),
        Rule("answer_in_question", (), held, pl.format("answer: {}", ANSWER.str.slice(0, 100))),
    ]


# ------------------------------------------------------------------------------------------------ one clear question

_FUNCTION = (
    r"what(?:'s)?|who(?:'s|m|se)?|where|when|why|how|which|is|was|are|were|be|been|being|do|does|did|has|had|have|can|"
    r"it(?:s|'s)?|this|that|these|those|he|she|they|him|hers?|them|his|theirs?|there|here|the|an?|ones?|of|in|on|to|for|"
    r"from|with|by|at|and|names?|person|people|m[ae]n|wom[ae]n|things?|place|objects?|item|animal|building|picture|doing|"
    r"made|located|called|many|much|old|long|tall|big|far|colou?r|kind|type|sort|happening|wearing|holding|going|about|"
    r"like|mean"
)
_ONLY_FUNCTION = rf"^(?:(?:{_FUNCTION})(?:\W+|$))+$"
_BEFORE_PRONOUN = (
    "is|was|are|were|does|did|do|has|had|can|old|many|much|year|city|country|state|long|tall|the|names?|of|born|kind|"
    "type|sort|in|which|what"
)
# In the original case: "She's the Man" is a title.
_PRONOUN = (
    rf"^(?:[Ww]ho|[Ww]hat|[Ww]here|[Ww]hen|[Ww]hy|[Hh]ow|[Ww]hich|[Ii]n (?:which|what))"
    rf"(?: (?:{_BEFORE_PRONOUN})){{0,5}} (?:he|she|him|his|her)(?:'s|’s)? ?(?:[a-z]|\?|$)"
    r"|^(?:[Ww]hich|[Ww]hat) [a-z]+ (?:is|was|does|did|do|has|had) (?:he|she) [a-z]"
)
_TITLE = r"\b(?:he|she) who\b|\b(?:her|his) (?:majesty|highness|holiness|honou?r|grace|excellency|lordship|ladyship)\b"
_DEICTIC = (
    r"\b(?:this|these) (?:person|man|woman|people|building|place|animal|bird|plant|flower|tree|insect|fish|landmark|"
    r"object|car|vehicle|aircraft|plane|ship|product|logo|painting|dish|food|city|country|company|monument|bridge|"
    r"church|statue|mountain|lake|river|museum|celebrity|actor|actress|athlete|player|team|dog|cat)(?:'s|s)?\b"
)
# Something that "this" may point back to: another sentence, a name, a number, a quotation, a list, a clause.
_REFERENT = (
    r"[.!?:;,]\s+\S|\S\s+\p{Lu}[\p{L}.]|\d|[\"“”]"
    r"|\s(?:that|which|whose|who|where)\s.*\s(?:that|which|whose|who|where)\s"
)

_WH = "(?:what|who|where|when|which|how (?:many|much|old|long|far|tall))"
_TWO_IN_ONE = (
    rf"(?:^|[.!?] ){_WH} [^?.]{{3,120}},? and (?:what (?:is|are|was|were|did|does)|how (?:many|much|old|long|far|tall)|"
    r"(?:when|where) (?:did|does|do)|who (?:is|was|are) the) [^?]+\?$"
)
_AND_IT = (
    rf"^{_WH} [^?.]{{3,120}},? and (?:when|where|what|who|how (?:many|much|old|long|far|tall)) "
    r"(?:is|are|was|were|did|does|do) (?:its?|he|she|his|her|they|their)\b[^?]*\?$"
)
_TWO_AFTER = rf"^{_WH} [^?.]{{12,}}\? {_WH} [^?.]{{12,}}\?$"
_NUMBERED = r"\(a\) ?[^?]{5,}\?.*\(b\) ?[^?]{5,}\?|(?:^|\s)1[).] ?[^?]{5,}\?.*\s2[).] ?[^?]{5,}\?"
_TOGETHER = (
    r"\b(?:total|sum|altogether|combined|together|difference|in all|more|fewer|less|its?|this|that|they|he|she|his|her|"
    r"their|one|these|those|what (?:is|was|are|were) (?:now|then|today|later|once|known|called))\b"
)

_OPINION = (
    r"\b[Yy]our (?:own )?(?:personal )?(?:favou?rite|opinion|thoughts|views?|feelings?|preference|ideal)\b"
    r"|\b(?:[Dd]o|[Ww]ould|[Dd]on't|[Dd]id) you (?:personally )?(?:think|believe|feel|prefer|like|love|agree|recommend|"
    r"suggest|say|want)\b|\b[Hh]ow do you feel\b|\b[Ww]hat would you (?:do|say|choose)\b|\bmeaning of life\b"
    r"|^[Ss]hould I\b|\b[Bb]est way to\b"
)
# About an image, "what do you think is the age of the man" asks for what can be seen.
_GUESS = r"\byou (?:think|believe|say) (?:is|are|was|were|the|this|these|that|it|he|she|they|an?)\b"
_START = r"(?:^|[.!?:] )(?:please |kindly |now |then |briefly |can you |could you |would you |will you )*"
_TO_WRITE = (
    rf"{_START}(?:(?:describe|discuss|elaborate|summari[sz]e|comment on|reflect on) |"
    r"tell (?:me|us) (?:a|about|something)|(?:write|compose|draft|create|invent) (?:me |us )?"
    r"(?:a|an|some|your|two|three) (?:[a-z-]+ ){0,2}(?:poem|story|"
    r"stories|essay|song|haiku|paragraphs?|article|joke|speech|summary|caption|e-?mail|blog|review|description|report|"
    r"tweet|script|limerick|dialogue|slogan|letter|advertisement)|explain (?:why|how|what|the|in detail|whether)|"
    r"give (?:me |us )?(?:an?|some|any|two|three|five) (?:[a-z]+ )?(?:examples?|reasons?|tips?|ideas?|suggestions?|"
    r"advice)|(?:name|list|give|mention|suggest) (?:any|some|an example)|name (?:one|a|an|two|three) )"
)
_SAYS_ONE = rf"{_START}describe the (?:[a-z]+ )?(?:colou?r|shape|size|number|material|position|pattern)\b"


def _question_rules() -> list[Rule]:
    no_picture = PICTURES == 0
    alone = no_picture & ~RAW.str.contains(_REFERENT)
    pronoun = RAW.str.contains(_PRONOUN) & ~LINE.str.contains(_TITLE) & ~RAW.str.contains(r"[.!?:;,]\s+\S")
    one = (TYPE != "set") & ~ANSWER.str.contains(r"[,;/&]| and ")
    two = LINE.str.contains(_TWO_IN_ONE) | LINE.str.contains(_TWO_AFTER)
    numbered = LINE.str.contains(_NUMBERED)
    open_ended = (LISTED < 2) & (pl.col("aliases").list.len().fill_null(0) == 0)
    # In mathematics "describe all solutions" has one answer, and a survey may ask for a favourite colour.
    to_write = open_ended & LINE.str.contains(_TO_WRITE) & ~LINE.str.contains(_SAYS_ONE)
    to_write = (LINE.str.len_chars() <= _LONG) & to_write & ((TASK != "math") | (TYPE == "short_text"))
    return [
        Rule(
            "ambiguous",
            (),
            no_picture & (LISTED < 2) & (RAW.str.len_chars() <= 120) & LINE.str.contains(_ONLY_FUNCTION),
            pl.format("nothing it could be about: {}", SHOWN),
        ),
        Rule(
            "ambiguous",
            (" he", " she", " hi", " her"),
            no_picture & (RAW.str.len_chars() <= 160) & pronoun,
            pl.format("a pronoun that stands for nothing: {}", SHOWN),
        ),
        Rule(
            "ambiguous",
            ("this ", "these "),
            alone & (RAW.str.len_chars() <= 120) & LINE.str.contains(_DEICTIC),
            pl.format("nothing that it points at: {}", SHOWN),
        ),
        Rule(
            "several_questions",
            (" and ", "? ", "(b)", "2)", "2."),
            one & ((two & ~LINE.str.contains(_TOGETHER)) | LINE.str.contains(_AND_IT) | numbered),
            SHOWN,
        ),
        Rule(
            "no_single_answer",
            (" you", "meaning of", "should i", "best way"),
            (TASK != "math") & RAW.str.contains(_OPINION) & (no_picture | ~RAW.str.contains(_GUESS)),
            SHOWN,
        ),
        Rule(
            "no_single_answer",
            ("describe", "discuss", "elaborate", "summari", "comment", "reflect", "tell ", "write", "compose",
             "draft", "create", "invent", "explain", "give ", "name ", "list ", "mention", "suggest"),
            to_write,
            _quoting(_TO_WRITE),
        ),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ for how long?

_OFFICE = (
    "(?:president|prime minister|chancellor|premier|ceo|chief executive|mayor|governor|head coach|manager|captain|"
    "chairman|chairperson|secretary[- ]general|pope)"
)
_OTHER_SENSE = (
    r"\b(?:then[- ]current(?:ly)?|(?:electric(?:al)?|ocean|alternating|direct|eddy|water|induced|tidal|air|humboldt|"
    r"sea|warm|cold|convection|rip|dark|leakage|drift|ionic|of) currents?|current (?:accounts?|affairs|density|"
    r"flow(?:s|ing)?|through|rivers?|sources?|dividers?|transformers?|events?|across|between)|currents|"
    r"(?:usa|christianity|psychology) today|today show|at the moment (?:of|when|that|he|she|it|they)|"
    r"so far (?:as|away|from|in)|at the latest|(?:his|her|their|its|the|whose|final|following|that) (?:last|next|past) "
    r"(?:year|month|week|season|decade)s?|(?:last|next|past) (?:year|month|week|season) of|"
    r"(?:known|called|named) (?:as )?today|what is (?:now|today)|today'?s? (?:known|called|named|part|located|found))\b"
)
# A date that says when: not the date on which somebody was born or something was founded.
_EVENT_DATE = (
    r"\b(?:born|founded|established|died|released|built|formed|started|created|opened|published|made|launched|completed|"
    r"incorporated|written|recorded|discovered|invented|introduced|premiered)(?: (?:on|in))?"
    r"[^.?!]{0,24}?(?:1\d|20)\d\d\b"
)
_DATED = (
    r"\b(?:as of|in|by|since|until|till|during|for|from|at the (?:end|start|beginning) of|on|of|before|after|circa) "
    r"(?:the |early |late |mid-?|year )*(?:[a-z]{3,9}\.? )?(?:\d{1,2}(?:st|nd|rd|th)?,? )?(?:of )?"
    r"(?:1\d|20)\d\d(?:\b|s)"
)
_NOW = (
    rf"\b(?:the|its|his|her|their|whose|a|which|'s|s) current [a-z]|\bcurrent {_OFFICE}|\bcurrently\b|"
    r"\b(?:as of (?:now|today|this)|at (?:the moment|present)|right now|nowadays|these days|today|so far|up to now|"
    r"until now|tonight|yesterday|tomorrow|this (?:year|month|week|season|decade)|"
    r"(?:last|past|next) (?:year|month|week|season)|latest|newest|"
    r"(?:the|its|his|her|their) most recent|most recently|upcoming|still alive)\b|"
    r"\bhow (?:many years|long) ago\b|^how long (?:has|have)\b|\bnet worth\b|^who holds the [^?]*record|"
    r"^what(?: is|'s) the (?:stock |share |market )?price of|"
    rf"(?:^|[.!?,] ?)(?:who(?: is|'s) the (?:[a-z]+ )?{_OFFICE} of|how old (?:is|are))\b"
)
_IN_A_STORY = (
    r"\bhow old (?:is|are) [^?]*\b(?:when|if|in|at|by|during)\b"
    r"|\bwho is the [^?]*\b(?:fictional|novel|series|sitcom|character|film|movie|play|game|cartoon|comics?)\b"
)
# With an image only what no image can show.
_NOW_ABROAD = (
    rf"\bcurrent (?:{_OFFICE}|population|owner|gdp|net worth|champion|record|team|club|world|market|stock|version)|"
    r"\b(?:as of (?:now|today)|nowadays)\b|\bmost recent (?:album|film|movie|book|song|season|version|model)|"
    r"^how old is (?:this|the) (?:building|person|man|woman|player|actor|actress|company|team)"
)
_TIME_CUES = (
    "current", "as of", "at the moment", "at present", "right now", "nowadays", "these days", "today", "so far",
    "to now", "til now", "tonight", "yesterday", "tomorrow", "this year", "this month", "this week", "this season",
    "this decade", "last ", "past ", "next ", "latest", "newest", "most recent", "upcoming", "still alive", " ago",
    "how long ha", "net worth", "price of", "who holds", "who is the", "who's the", "how old",
)  # fmt: skip


def _time_rules() -> list[Rule]:
    dated = LINE.str.replace_all(_EVENT_DATE, "~").str.contains(_DATED)
    plain = LINE.str.replace_all(_OTHER_SENSE, "~")
    # "Today" in the middle of a sentence is a name: of a paper, a programme, a song.
    now = plain.str.contains(_NOW) & ~LINE.str.contains(_IN_A_STORY) & ~RAW.str.contains(r"\S (?:The )?Today\b")
    searched = (TASK == "search") & pl.when(PICTURES == 0).then(now).otherwise(plain.str.contains(_NOW_ABROAD))
    searched = searched & (LINE.str.len_chars() <= _LONG)
    return [Rule("time_bound", _TIME_CUES, searched & ~dated, _quoting(f"{_NOW}|{_NOW_ABROAD}"))]


def _judged(chunk: pl.DataFrame, rules: list[Rule]) -> pl.DataFrame:
    """Row number, reason and detail of the rows of `chunk` that break a rule."""
    raw = pl.col("text").fill_null("").str.strip_chars()
    flat = raw.str.to_lowercase().str.replace_all(r"[\n\r\t\x{a0}]+ *| {2,}", " ").str.replace_all("[’‘]", "'")
    rows = chunk.select(
        "row", "task", "answer_type", "aliases",
        pl.col("choices").fill_null([]),
        raw=raw,
        line=flat,
        said=pl.col("answer").fill_null("").str.strip_chars(),
        pictures=pl.col("images").list.len().fill_null(0),
        listed=pl.col("choices").list.len().fill_null(0),
    )  # fmt: skip
    hits = []
    for rule in rules:
        some = rows.filter(LINE.str.contains_any(list(rule.cues))) if rule.cues else rows
        broken = some.filter(rule.holds.fill_null(False))
        hits.append(broken.select("row", reason=pl.lit(rule.code), detail=rule.says.fill_null("")))
    return pl.concat(hits).unique("row", keep="first", maintain_order=True)


def apply(questions: pl.DataFrame, rules: Wording) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost."""
    wanted = [*_text_rules(), *_missing_rules(), *_leak_rules(), *_question_rules()]
    if rules.time_bound:
        wanted += _time_rules()
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    rows = questions.rechunk().with_row_index("row")
    hits = [_judged(chunk, wanted) for chunk in rows.iter_slices(_ROWS)]
    broken = pl.concat([_judged(rows.clear(), wanted), *hits])
    judged = rows.join(broken, on="row", how="left", maintain_order="left")
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    return kept, reject_rows(judged.filter(pl.col("reason").is_not_null()), STAGE, pl.col("reason"), pl.col("detail"))
