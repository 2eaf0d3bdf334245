"""English phrases that filters/questions/wording.py looks for, as regular expressions (of Rust: no lookaround).

Unless said otherwise, for a text in lower case, on one line, with straight apostrophes.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

# ---------------------------------------------------------------------------------------------------- is it a text?

MOJIBAKE = (
    r"Ã[\x{80}-\x{BF}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|Â[\x{A0}-\x{BA}\x{BC}-\x{BF}]|ï¿½|\x{FFFD}"
    r"|[\x00-\x08\x0e-\x1f\x7f]"
    r"|\x0crac|\t(?:imes|heta|ext\{)"  # \frac, \times, \theta, \text read as control characters
)
ENTITY = r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4});"
WORDS = r"\p{L}{2}[^\p{L}]+(?:\p{L}[^\p{L}]+)*\p{L}{2}"
CUT = r"\p{L}(?:\.{3}|…)$"
CLOZE_END = r"\b(?:is|are|was|were|be|called|named|as|equals) ?(?:\.{3}|…)$"
PLACEHOLDER = (
    r"^(?:https?://\S+|www\.\S+|\S+\.(?:png|jpe?g|gif|webp|pdf))$"
    r"|^(?:nan|none|null|n/?a|undefined|unknown|question|test|lorem ipsum.*|"
    r"<question>|\[?(?:blank|deleted|removed)\]?|[\W_]+)$"
    r"|^\W*(?:todo|tbd|fixme)(?:\W|$)|\b(?:tbd|fixme)\W*$|\btodo:"
    r"|\[(?:insert|your|todo|question|deleted|removed)\b[^\[\]]{0,40}\]"
    r"|(?:^|[^\\a-z_^}])\{(?:question|query|input|prompt|context|text|name)\}|\{\{ ?[a-z_]{3,} ?\}\}"
    r"|\b(?:of|in|for|by|to|than|does|did) (?:nan|null|undefined)\W*$"
)
ASKS = (
    r"(?:spell|reverse|translate|define|name|find|solve|evaluate|simplify|compute|calculate|factor(?:i[sz]e)?|expand|"
    r"differentiate|integrate|count|read|transcribe|describe|identify|convert|unscramble|guess|list|prove|determine|"
    r"estimate|sort|who|what|where|when|why|how|which|whose|is|are|was|were|does|did|do|can)\b"
)
BARE = r"^\p{Latin}[\p{Latin}'-]*(?: \p{Latin}[\p{Latin}'-]*)?[.!]?$"

# ------------------------------------------------------------------------------------------ what is spoken of is there

PICTURE = "(?:image|picture|photo|photograph|figure|diagram|screenshot|illustration)s?"
CHART = "(?:(?:bar|pie|line) (?:chart|graph)|chart|graph|table)s?"
ANY = f"(?:{PICTURE}|{CHART}|(?:map|plot|sketch|drawing)s?)"
THERE = (
    r"(?:above|below)(?: ?[,.;:?!)]| (?:shows?|lists?|gives?|is|are|has|depicts|and|to|find|what|which|how|we|by)\b|$)"
)
GIVEN = r"(?:given |attached |shown |above |below |following |provided |accompanying |displayed |entire |whole )?"
NOT_SHOWN = (
    # Words of these that mean something else, taken out before the text is searched.
    r"\b(?:pre-?images?|images? (?:of (?:the |a |an )?(?:points?|lines?|segments?|intervals?|sets?|functions?|map|"
    r"triangles?|vertex|vertices|circles?|parabolas?|graphs?|\$|[a-z]\b)|under)|(?:motion |best |moving )pictures?|"
    r"picture (?:directed|starring|produced|book|frame|academy|award)s?|"
    r"(?:photo|image|picture) (?:titled|entitled|called|editing|processing)|image comics?|"
    r"(?:graph|plot|map|table)s? of|"
    r"(?:thirds?|half|halves|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?|percent|%) of the (?:[a-z]+ )?"
    r"(?:figures|illustrations|diagrams|drawings|pictures|photos|images)|"
    r"tables? (?:saws?|tops?|cloths?|tennis|lamps?|legs?|salt|wine|spoons?|manners|settings?|napkins?)|"
    r"tables? \(?drawers?|"
    r"figures? (?:bounded|enclosed|formed|obtained|consisting)|"
    r"(?:periodic|multiplication|truth|times|dining|coffee|kitchen|league|round) tables?)"
)
SHOWN_IN = (
    rf"<image>|<img\b|!\[[^\]]*\]\(|\[image\]|\b(?:in|see|from) fig(?:ure|\.)? ?\d"
    rf"|\b(?:in|from|of|see|using|at) (?:the|this|that|these) {GIVEN}{PICTURE}\b"
    r"|\b(?:by|on|to) (?:the|this) (?:figure|diagram|image|screenshot)s?\b"
    rf"|\b(?:the|this) {ANY} (?:(?:shows|depicts) (?:an?|the|how|that|data|part|two|three|some|several)\b|"
    rf"(?:shown |given |provided )?{THERE}|(?:on the|at) (?:left|right)\b)"
    rf"|\b(?:above|below|following|attached|accompanying|(?:the|this|these|using|in|on|from|see) provided) {ANY}\b"
    rf"|\bdoes (?:the|this) {ANY} (?:show|represent|depict|illustrate)\b"
    rf"|\b(?:refer(?:ring)? to|look(?:ing)? at) (?:the|this) {ANY}\b"
    r"|\b(?:highlighted|marked|shaded|labell?ed|circled|colou?red)[^.?!]* (?:on|in) (?:the|this) (?:map|graph|chart)\b"
    rf"|\b(?:as|is|are) (?:shown|seen|depicted|pictured|illustrated) (?:in|on) (?:the|this|fig) ?{GIVEN}{ANY}?\b"
)
IN_CHART = rf"\b(?:in|according to|see|using|based on) (?:the|this) {GIVEN}{CHART}\b"
# "Drawn through (2, 7)" says where it lies.
IS_SHOWN = (
    r"\b(?:graph|plot)s? of [^.?!]{1,60} (?:is|are) (?:(?:shown|depicted)\b|"
    r"(?:drawn|sketched|plotted)(?: ?[.,;?]| and\b|$|[^.?!]{0,40} (?:above|below|here)\b))"
)
TITLED = r"\b(?:[Pp]hoto|[Pp]hotograph|[Pp]icture|[Ii]mage) (?:[\"“\p{Lu}]|(?:taken|shot|made) by \p{Lu})"
GRAPH_THEORY = r"\b(?:vertex|vertices|edges?|nodes?)\b"
# A word problem about pictures introduces them itself.
OWN_PICTURES = (
    r"\b(?:an?|each|every|one|his|her|their|my|several|some|of|many|\d+) (?:[a-z]+ )?"
    r"(?:picture|photo|photograph|image)s?\b"
    r"|\b(?:an?|each|every|one) (?:[a-z]+ )?(?:illustration|drawing)\b|\beach of the (?:illustrations|drawings)\b"
)
# Also of chess figures; but in geometry a figure, or "the 3 figures below", may be one that is not there.
OWN_FIGURES = r"\b(?:some|several|many|his|her|their|my|\d+) (?:[a-z]+ )?(?:illustrations|drawings|figures|diagrams)\b"
GIVEN_FIGURE = r"\b(?:figure|diagram|illustration|drawing|above|below|shown)\b"
AS_SHOWN = (
    r"\bas (?:shown|depicted|pictured|illustrated)(?: (?:above|below|here))? ?[.,;?)]"
    r"|\b(?:shown|pictured|depicted|displayed) (?:above|below|here) ?[.,;?)]"
)
# What is spoken of stands in the text: a drawing as code, a table, rows of numbers.
DRAWN = (
    r"\[asy\]|\\begin\{(?:tabular|array|[pbv]?matrix|tikzpicture)|<table|<svg|\|[^|\n]*\|[^|\n]*\n?[^|\n]*\||\n[^\n]*\t"
    r"|\n[^\n]*\d[^\n]*\d[^\n]*\n[^\n]*\d|```"
)
PICTURE_CUES = (
    "image", "picture", "photo", "figure", "diagram", "screenshot", "illustrat", "shown", "chart", "graph", "table",
    "map", "plot", "sketch", "drawing", "depict", "displayed", "fig", "<img", "![",
)  # fmt: skip
OF_FOLLOWING = (
    r"\b(?:which|what|how many|any|one|none|all|each|either) (?:one |ones )?of the following\b"
    r"|\bwhich (?:one |ones )?of (?:these|those)\b"
)
PICK, OPTIONS = "(?:choose|select|pick)", "(?:options|choices|alternatives|answers)"
FROM_OPTIONS = (
    rf"\b(?:the|these) (?:answer )?{OPTIONS} (?:below|above|given|provided|listed)"
    rf"|\b(?:following|given|provided|above|below|listed) (?:answer )?{OPTIONS}\b"
    rf"|\b{PICK}(?: one)? (?:from|among) (?:the|these) (?:following|list|{OPTIONS})\b"
    rf"|\b{PICK} the (?:single )?(?:correct|best|right|most \w+|appropriate) (?:answer|option|choice|letter|response)"
    r"|\b(?:answer|respond|reply) with (?:the |an? )?(?:correct )?(?:option|choice|letter)(?:'s)?\b"
    r"|\b(?:option|choice) letter\b"
    r"|\bwhich (?:option|choice|answer|alternative|statement)s? (?:is|are|best|correctly)\b"
)
LETTERED = (
    r"(?s)(?:^|[\s(\[])a ?[).:\]] ?[^\s(),].*[\s(\[]b ?[).:\]] ?[^\s(),]|(?:^|\s)1[).] ?\S.*\s2[).] ?\S"
    r"|(?:^|\n)\s*[-*•] .*\n\s*[-*•] "
)
ONLY_LETTERS = r"\(?a\)?,? ?\(?b\)?,? ?(?:\(?c\)?,? ?)?(?:\(?d\)?,? ?)?(?:or|and|/) ?\(?[b-e]\)?(?:\W|$)"
OFFERED = r"\bor\b|,.*,|;"
# "From the following: 3 shirts and 4 skirts", "the correct answer: 3 + 4".
SUMMED = (
    r"^[^:.?!]{0,20}:[^:?.!]*(?:\b(?:\d+|one|two|three|four|five|six|seven) [a-z ]+ and (?:\d|one|two|three|four|five|"
    r"six|seven)|[\dx)] ?[-+*/×÷^=] ?[\dx(]|\$)"
)
NAMED = rf"{OFFERED}|:|\d\D+\d|[\"“'$].+[\"”'$]"

# --------------------------------------------------------------------------------------------- the answer stands there

MARK = r"^\s*(?:\*[^*]|[✓✔☑])|(?:[^*]\*|[✓✔☑])\s*$|(?i)[(\[](?:correct|right|true)(?: answer| option| choice)?[)\]]"
SAID = r"\b(?:answer|ans|solution)(?: is|\s*[:=])\s*[:=]?\s*(.{1,120})"
SOLUTION = r"(?im)^\s*\**(?:solution|explanation|rationale|answer key|worked solution)\**\s*:\**\s*\S.{15}|####\s*[\d-]"
PICKED = (
    r"\b(?:or|between|among|out of|versus|vs|than|compared|which of|both|either|whether|spell(?:ed|ing)?|unscramble|"
    r"rearrange|sort|words?|letters?)\b"
)

# ------------------------------------------------------------------------------------------------ one clear question

FUNCTION = (
    r"what(?:'s)?|who(?:'s|m|se)?|where|when|why|how|which|is|was|are|were|be|been|being|do|does|did|has|had|have|can|"
    r"it(?:s|'s)?|this|that|these|those|he|she|they|him|hers?|them|his|theirs?|there|here|the|an?|ones?|of|in|on|to|for|"
    r"from|with|by|at|and|names?|person|people|m[ae]n|wom[ae]n|things?|place|objects?|item|animal|building|picture|doing|"
    r"made|located|called|many|much|old|long|tall|big|far|colou?r|kind|type|sort|happening|wearing|holding|going|about|"
    r"like|mean"
)
ONLY_FUNCTION = rf"^(?:(?:{FUNCTION})(?:\W+|$))+$"
BEFORE_PRONOUN = (
    "is|was|are|were|does|did|do|has|had|can|old|many|much|year|city|country|state|long|tall|the|names?|of|born|kind|"
    "type|sort|in|which|what"
)
# In the original case: "She's the Man" is a title.
PRONOUN = (
    rf"^(?:[Ww]ho|[Ww]hat|[Ww]here|[Ww]hen|[Ww]hy|[Hh]ow|[Ww]hich|[Ii]n (?:which|what))"
    rf"(?: (?:{BEFORE_PRONOUN})){{0,5}} (?:he|she|him|his|her)(?:'s|’s)? ?(?:[a-z]|\?|$)"
    r"|^(?:[Ww]hich|[Ww]hat) [a-z]+ (?:is|was|does|did|do|has|had) (?:he|she) [a-z]"
)
TITLE = r"\b(?:he|she) who\b|\b(?:her|his) (?:majesty|highness|holiness|honou?r|grace|excellency|lordship|ladyship)\b"
DEICTIC = (
    r"\b(?:this|these) (?:person|man|woman|people|building|place|animal|bird|plant|flower|tree|insect|fish|landmark|"
    r"object|car|vehicle|aircraft|plane|ship|product|logo|painting|dish|food|city|country|company|monument|bridge|"
    r"church|statue|mountain|lake|river|museum|celebrity|actor|actress|athlete|player|team|dog|cat)(?:'s|s)?\b"
)
# Something that "this" may point back to: another sentence, a name, a number, a quotation, a list, a clause.
REFERENT = (
    r"[.!?:;,]\s+\S|\S\s+\p{Lu}[\p{L}.]|\d|[\"“”]"
    r"|\s(?:that|which|whose|who|where)\s.*\s(?:that|which|whose|who|where)\s"
)
WH = "(?:what|who|where|when|which|how (?:many|much|old|long|far|tall))"
TWO_IN_ONE = (
    rf"(?:^|[.!?] ){WH} [^?.]{{3,120}},? and (?:what (?:is|are|was|were|did|does)|how (?:many|much|old|long|far|tall)|"
    r"(?:when|where) (?:did|does|do)|who (?:is|was|are) the) [^?]+\?$"
)
AND_IT = (
    rf"^{WH} [^?.]{{3,120}},? and (?:when|where|what|who|how (?:many|much|old|long|far|tall)) "
    r"(?:is|are|was|were|did|does|do) (?:its?|he|she|his|her|they|their)\b[^?]*\?$"
)
TWO_AFTER = rf"^{WH} [^?.]{{12,}}\? {WH} [^?.]{{12,}}\?$"
NUMBERED = r"\(a\) ?[^?]{5,}\?.*\(b\) ?[^?]{5,}\?|(?:^|\s)1[).] ?[^?]{5,}\?.*\s2[).] ?[^?]{5,}\?"
TOGETHER = (
    r"\b(?:total|sum|altogether|combined|together|difference|in all|more|fewer|less|its?|this|that|they|he|she|his|her|"
    r"their|one|these|those|what (?:is|was|are|were) (?:now|then|today|later|once|known|called))\b"
)
OPINION = (
    r"\b[Yy]our (?:own )?(?:personal )?(?:favou?rite|opinion|thoughts|views?|feelings?|preference|ideal)\b"
    r"|\b(?:[Dd]o|[Ww]ould|[Dd]on't|[Dd]id) you (?:personally )?(?:think|believe|feel|prefer|like|love|agree|recommend|"
    r"suggest|say|want)\b|\b[Hh]ow do you feel\b|\b[Ww]hat would you (?:do|say|choose)\b|\bmeaning of life\b"
    r"|^[Ss]hould I\b|\b[Bb]est way to\b"
)
# About an image, "what do you think is the age of the man" asks for what can be seen.
GUESS = r"\byou (?:think|believe|say) (?:is|are|was|were|the|this|these|that|it|he|she|they|an?)\b"
START = r"(?:^|[.!?:] )(?:please |kindly |now |then |briefly |can you |could you |would you |will you )*"
TO_WRITE = (
    rf"{START}(?:(?:describe|discuss|elaborate|summari[sz]e|comment on|reflect on) |"
    r"tell (?:me|us) (?:a|about|something)|(?:write|compose|draft|create|invent) (?:me |us )?"
    r"(?:a|an|some|your|two|three) (?:[a-z-]+ ){0,2}(?:poem|story|"
    r"stories|essay|song|haiku|paragraphs?|article|joke|speech|summary|caption|e-?mail|blog|review|description|report|"
    r"tweet|script|limerick|dialogue|slogan|letter|advertisement)|explain (?:why|how|what|the|in detail|whether)|"
    r"give (?:me |us )?(?:an?|some|any|two|three|five) (?:[a-z]+ )?(?:examples?|reasons?|tips?|ideas?|suggestions?|"
    r"advice)|(?:name|list|give|mention|suggest) (?:any|some|an example)|name (?:one|a|an|two|three) )"
)
# In an image such a thing is read, not thought up.
TO_READ = rf"{START}explain what (?:the|this|that|these|those|it) "
QUOTED = r"[\"“][^\"”]*[\"”]"
# "The film Mazurka: Describe Polish Weddings": an imperative among words with capitals.
IN_TITLE = r"\p{Lu}[\p{L}'’-]*[!:] \p{Lu}[\p{L}-]*(?: (?:[Aa]n?|[Tt]he|[Mm]e|[Uu]s))* \p{Lu}"
SAYS_ONE = rf"{START}describe the (?:[a-z]+ )?(?:colou?r|shape|size|number|material|position|pattern)\b"

# ------------------------------------------------------------------------------------------------------ for how long?

OFFICE = (
    "(?:president|prime minister|chancellor|premier|ceo|chief executive|mayor|governor|head coach|manager|captain|"
    "chairman|chairperson|secretary[- ]general|pope)"
)
OTHER_SENSE = (
    r"\b(?:then[- ]current(?:ly)?|(?:electric(?:al)?|ocean|alternating|direct|eddy|water|induced|tidal|air|humboldt|"
    r"sea|warm|cold|convection|rip|dark|leakage|drift|ionic|of) currents?|current (?:accounts?|affairs|density|"
    r"flow(?:s|ing)?|through|rivers?|sources?|dividers?|transformers?|events?|across|between)|currents|"
    r"(?:usa|christianity|psychology) today|today show|at the moment (?:of|when|that|he|she|it|they)|"
    r"so far (?:as|away|from|in)|at the latest|(?:his|her|their|its|the|whose|final|following|that) (?:last|next|past) "
    r"(?:year|month|week|season|decade)s?|(?:last|next|past) (?:year|month|week|season) of|"
    r"(?:known|called|named) (?:as )?today|what is (?:now|today)|today'?s? (?:known|called|named|part|located|found))\b"
)
# "What was the latest novel he finished?" speaks of a time that is over.
OVER = r"^(?:what|which(?: [a-z]+)?|who) (?:was|were) [^?]*\b(?:latest|newest|most recent(?:ly)?)\b"
# A date that says when: not the date on which somebody was born or something was founded.
EVENT_DATE = (
    r"\b(?:born|founded|established|died|released|built|formed|started|created|opened|published|made|launched|completed|"
    r"incorporated|written|recorded|discovered|invented|introduced|premiered)(?: (?:on|in))?"
    r"[^.?!]{0,24}?(?:1\d|20)\d\d\b"
)
DATED = (
    r"\b(?:as of|in|by|since|until|till|during|for|from|at the (?:end|start|beginning) of|on|of|before|after|circa) "
    r"(?:the |early |late |mid-?|year )*(?:[a-z]{3,9}\.? )?(?:\d{1,2}(?:st|nd|rd|th)?,? )?(?:of )?"
    r"(?:1\d|20)\d\d(?:\b|s)"
)
NOW = (
    rf"\b(?:the|its|his|her|their|whose|a|which|'s|s) current [a-z]|\bcurrent {OFFICE}|\bcurrently\b|"
    r"\b(?:as of (?:now|today|this)|at (?:the moment|present)|right now|nowadays|these days|today|so far|up to now|"
    r"until now|tonight|yesterday|tomorrow|this (?:year|month|week|season|decade)|"
    r"(?:last|past|next) (?:year|month|week|season)|latest|newest|"
    r"(?:the|its|his|her|their) most recent|most recently|upcoming|still alive)\b|"
    r"\bhow (?:many years|long) ago\b|^how long (?:has|have)\b|\bnet worth\b|^who holds the [^?]*record|"
    r"^what(?: is|'s) the (?:stock |share |market )?price of|"
    rf"(?:^|[.!?,] ?)(?:who(?: is|'s) the (?:[a-z]+ )?{OFFICE} of|how old (?:is|are))\b"
)
IN_A_STORY = (
    r"\bhow old (?:is|are) [^?]*\b(?:when|if|in|at|by|during)\b"
    r"|\bwho is the [^?]*\b(?:fictional|novel|series|sitcom|character|film|movie|play|game|cartoon|comics?)\b"
)
# With an image only what no image can show.
NOW_ABROAD = (
    rf"\bcurrent (?:{OFFICE}|population|owner|gdp|net worth|champion|record|team|club|world|market|stock|version)|"
    r"\b(?:as of (?:now|today)|nowadays)\b|\bmost recent (?:album|film|movie|book|song|season|version|model)|"
    r"^how old is (?:this|the) (?:building|person|man|woman|player|actor|actress|company|team)"
)
TIME_CUES = (
    "current", "as of", "at the moment", "at present", "right now", "nowadays", "these days", "today", "so far",
    "to now", "til now", "tonight", "yesterday", "tomorrow", "this year", "this month", "this week", "this season",
    "this decade", "last ", "past ", "next ", "latest", "newest", "most recent", "upcoming", "still alive", " ago",
    "how long ha", "net worth", "price of", "who holds", "who is the", "who's the", "how old",
)  # fmt: skip
