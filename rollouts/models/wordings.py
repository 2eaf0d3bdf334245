"""What servers mean by the words of an error. They share neither codes nor statuses, so the words have to do.

The patterns are of kinds of sentences rather than of servers: tests/traps/replies.jsonl holds what each of the usual
servers says, and what looks alike and means something else.
"""

import re


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


_PROMPT = r"(?:prompt|inputs?|messages?|conversation|context|input text|input sequence|input prompt)"
_PAST = r"(?:exceed|(?:longer|larger|greater|more) than|at most|only supports?|over the|cannot be|must be <)"
_TOO_LONG = _any(
    r"context[ _-]?(?:length|window|size|limit)[ _-]?(?:has been |is |was )?(?:exceeded|exceeds|overflow|too)",
    r"(?:maxim(?:um|al)|max\.?|model'?s?|available|configured)[ _-](?:allowed )?(?:context|sequence|prompt|model|input)"
    r"[ _-](?:length|window|size|tokens?)",
    r"max_model_len|max_seq_len|max_sequence_length|max_input_len|max_position_embeddings|max_num_tokens",
    rf"{_PROMPT}(?: text| size| length)?,?(?: is| are| was| were)? too (?:long|large)\b(?! an? image)",
    rf"{_PAST}.{{0,60}}context (?:length|window|size|limit)",
    r"context (?:length|window|size|limit).{0,40}(?:exceed|only \d|overflow)",
    r"context the overflows|overflows? the context",
    r"(?:input|prompt|request(?:ed)?|total|message)s?['` ]*(?:tokens?|token count|token length|\(\d+ tokens\))"
    rf".{{0,80}}{_PAST}",
    rf"(?:number|count|sum) of (?:the )?(?:input|prompt|total)[a-z ]{{0,20}}(?:tokens|length).{{0,80}}{_PAST}",
    rf"(?:prompt|input) (?:length|size|token length).{{0,80}}(?:{_PAST}|should be)",
    r"sum of prompt length.{0,60}(?:exceed|max)",
    rf"{_PROMPT} (?:contains?|has|have|of) [\d,]+ tokens.{{0,60}}(?:{_PAST}|too large|but )",
    r"(?:exceed\w*|over) (?:the )?(?:model|max(?:imum)?|message|input|prompt)[a-z ]{0,20}tokens?(?: limit)?",
    r"\btoken limit (?:exceeded|reached|of \d)|tokens? exceed\w* the (?:configured |maximum |model )?limit",
    r"too many (?:input |prompt |total )?tokens",
    r"`inputs` (?:tokens|must have less)",
    r"reduce the length of (?:the|your) (?:input |prompt )?(?:messages|prompt|input|context)",
    r"(?:reduce|shorten) (?:your|the) (?:prompt|input|messages)",
    r"messages?\S{0,40}:? *(?:string|content|text) too long",
    r"prompt *(?:超长|过长)|(?:输入|提示词?|请求|对话|消息)\S{0,8}(?:过长|超长|超限|超出|超过)",
    r"上下文\S{0,6}(?:过长|超|限制)",
    r"超[过出](?:了)?(?:模型)?(?:的)?最大\S{0,6}(?:长度|上下文|token|限制)|长度(?:超限|超过|超出)",
)
_SAME_WORDS_FOR_ELSE = _any(
    r"unrecogni[sz]ed|unknown (?:argument|parameter|field|name)|unexpected (?:keyword|argument|field|parameter)",
    r"not (?:permitted|allowed as)|extra (?:inputs|fields)|unsupported (?:parameter|argument|value|field)",
    r"additional propert|no such (?:parameter|argument|field)|invalid (?:parameter|argument|field) name|is not a valid",
    r"\d[\d.]* *(?:[kmg]i?b|bytes)\b|\bbytes\b|megabytes",
)
_PER_TIME = _any(
    r"per[ _-]?(?:min|minute|sec|second|hour|day)\b|\b[tri]p[mdsh]\b|rate[ _-]?limit|too many requests|throttl",
    r"resource[ _]exhausted|(?:wait|try again|retry) (?:before|in|after) \S+|concurren(?:t|cy) (?:request|limit|quota)",
    r"请求\S{0,6}(?:频率|过快|过多|频繁)|限流|并发",
)
_TOO_MUCH_FOR_A_WINDOW = _any(
    r"request too large", r"requested [\d,]+.{0,40}(?:limit|maximum) (?:is )?[\d,]+ (?:tokens )?per"
)
_NO_QUOTA = _any(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|exceeded_current_quota|billing[_ ](?:hard[_ ])?limit",
    r"credit balance is too low|out of credits|payment required|quota (?:is )?used up|account\S* (?:is )?in arrears",
    r"余额不足|欠费|额度不足",
)
_CONTENT = _any(
    r"content[ _-]?(?:filter|polic|management|moderat|safety|exists risk|violat|blocked|security)",
    r"\bflagged\b|moderation|responsible ?ai|safety[ _](?:system|filter|polic|settings?|reasons?|check|guideline)",
    r"blocked.{0,60}(?:safety|polic|guardrail|content|moderation|filter|harm)|guardrail",
    r"data_?inspection_?failed|inappropriate|(?<!case[ -])sensitive|unsafe|harmful|jailbreak",
    r"\bhigh risk\b|risk control",
    r"prohibited[ _](?:content|use)|violat\w*.{0,60}(?:polic|guideline|terms)|usage polic|blocklist|block_?reason",
    r"敏感|不安全|违规|违法|内容安全|审核|不合规|安全策略",
)
_THE_ACCOUNT = _any(
    r"(?:account|organi[sz]ation|project|api[ _-]?key|\bkey|\bip(?: address)?|workspace|subscription|user)\b.{0,60}"
    r"(?:flagged|blocked|suspend|disabl|banned|deactivat|terminat|restrict|violat)",
    r"(?:region|country|territory|location).{0,40}(?:not|un)[ -]?(?:supported|available|allowed)",
)
_MAX_TOKENS = _any(
    r"(?:max_?(?:completion|new|output)?_?tokens|max(?:imum)? (?:completion|output|new) tokens)\S*.{0,60}"
    r"(?:too large|at most|must be (?:less|<|at most|between)|range|greater than|exceed|cannot be|should be)",
    r"range of max_tokens|supports at most [\d,]+ (?:completion|output) tokens",
)
_LIMIT = re.compile(
    r"(?:maximum|model'?s?)(?: allowed| maximum)*(?: context| model| prompt| sequence| input)? (?:length|size|window)"
    r"(?: limit| allowed)*(?: is| of|:)?(?: only)?[ (=]*(\d[\d,]{2,})|length of only (\d[\d,]+)"
    r"|must be <= (\d+)|> ?(\d[\d,]+) maximum|with (\d[\d,]+) maximum context"
    r"|(?:only supports up to|token limit:|exceeds the limit of|cannot exceed|tokens allowed \(?) ?(\d[\d,]+)",
    re.IGNORECASE,
)


def says_too_long(text: str) -> bool:
    """Whether it says that the prompt does not fit the model's context."""
    return bool(_TOO_LONG.search(text)) and not _SAME_WORDS_FOR_ELSE.search(text) and not _PER_TIME.search(text)


def said_limit(text: str) -> int | None:
    """The tokens of the context, where an error of `says_too_long` names them."""
    found = _LIMIT.search(text)
    number = next((group for group in found.groups() if group), None) if found else None
    return int(number.replace(",", "")) if number else None


def says_rate(text: str) -> bool:
    """Whether it speaks of how much may be asked in a time."""
    return bool(_PER_TIME.search(text))


def says_never_fits(text: str) -> bool:
    """Whether one of `says_rate` says that this request alone is more than may be asked in a time."""
    return bool(_TOO_MUCH_FOR_A_WINDOW.search(text))


def says_no_quota(text: str) -> bool:
    """Whether it says that the account has nothing left to pay with."""
    return bool(_NO_QUOTA.search(text))


def says_content(text: str) -> bool:
    """Whether it refuses what is asked, by rules of content, rather than who asks."""
    return bool(_CONTENT.search(text)) and not _THE_ACCOUNT.search(text)


def says_max_tokens(text: str) -> bool:
    """Whether it says that more tokens are asked for than it ever writes."""
    return bool(_MAX_TOKENS.search(text))
