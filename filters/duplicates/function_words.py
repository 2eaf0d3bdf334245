"""Words that make no question new: of closed classes, without a meaning of their own.

Articles, auxiliary verbs, the lightest prepositions and conjunctions, words that point. Not among them is whatever says
where to, whence, without, before, not, more, who or how many, nor a word that means something in another of the
languages (German war, Spanish hay, Dutch van): a text is not asked for its language.

The lists follow the closed classes of the languages' grammars and are short on purpose. They are in the folded form of
`records.words` and have at least two letters, as a single one may be a variable.
"""

# ruff: noqa: E501, RUF001 - tables, and signs that look alike are meant

ENGLISH = (
    "of in on at by for with as is are was were be been being do does did has have had will would shall there this that "
    "these those it its they them their so then also and upon within during"
)
OTHERS = (
    "der das dem des ein eine einen einem einer eines ist sind waren wird werden haben hatte im auf bei mit fur und dass dann "
    "le la les un une du de au aux est sont etait et dans en avec ce cette ces que dont "
    "el los las una unos unas del al es se lo gli di della dei delle nel nella che um uma os da dos das em na nos nas com "
    "het een zijn op aan dat er "
    "во на со это был была было были есть ли же "
    "في هذا هذه التي الذي قد كان كانت هو هي هناك يوجد توجد ثم هل ان "
    "है हैं था थी थे में को का की के ने पर और यह तो "
    "cua va cac nhung thi bir ve bu ile yang dan itu ini adalah"
)
FUNCTION_WORDS = tuple(dict.fromkeys(f"{ENGLISH} {OTHERS}".split()))
CLAUSE_WORDS = ("if", "because", "while", "whereas", "given")
"""Words that begin a clause and say no more than that one begins."""
