"""What a question says beneath its spelling: mathematics in one notation, and no frame of instructions around it.

Exact and near duplicates and decontamination all compare texts in this form, so that what one of them takes for
spelling is spelling to the others too.
"""

# ruff: noqa: E501, RUF001 - tables, and signs that look alike are meant

import unicodedata
from collections.abc import Callable

import polars as pl

from records.words import HAN, KANA, SOUTH_EAST_ASIAN

_SIGNS = {
    r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\ge": ">=", r"\geq": ">=", r"\geqslant": ">=", r"\lt": "<",
    r"\gt": ">", r"\ne": "^=", r"\neq": "^=", r"\times": "*", r"\cdot": "*", r"\ast": "*", r"\div": "/",
    r"\circ": "°", r"\infty": "∞", r"\in": "∈", r"\cup": "∪", r"\cap": "∩", r"\emptyset": "∅", r"\varnothing": "∅",
    r"\angle": "∠", r"\triangle": "△", r"\perp": "⊥", r"\parallel": "∥", r"\pm": "±", r"\approx": "≈", r"\equiv": "≡",
    r"\sim": "∼", r"\to": "→", r"\rightarrow": "→", r"\sum": "∑", r"\prod": "∏", r"\int": "∫", r"\cdots": "…",
    r"\ldots": "…", r"\dots": "…", r"\percent": "%", r"\subset": "⊂", r"\subseteq": "⊆", r"\mid": "|", r"\vert": "|",
    r"\lvert": "|", r"\rvert": "|", r"\varepsilon": "ε", r"\varphi": "φ", r"\vartheta": "θ", r"\quad": "", r"\qquad": "",
    r"\limits": "", r"\displaystyle": "", r"\textstyle": "", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac",
    r"\left": "", r"\right": "",
    **{rf"\{size}{side}": "" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")},
}  # fmt: skip
"""Commands of LaTeX and the sign or nothing that says the same."""


def _greek() -> dict[str, str]:
    letters = (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi pi rho sigma tau upsilon phi chi psi omega"
    )
    found = {}
    for name in [*letters.split(), "lambda"]:
        spelled = name.upper().replace("LAMBDA", "LAMDA")  # Unicode's own spelling
        found[f"\\{name}"] = unicodedata.lookup(f"GREEK SMALL LETTER {spelled}")
        found[f"\\{name.title()}"] = unicodedata.lookup(f"GREEK CAPITAL LETTER {spelled}")
    return found


_COMMANDS = {f"{name} ": f" {sign} " if sign != r"\frac" else r"\frac " for name, sign in (_SIGNS | _greek()).items()}
_LOOK_ALIKES = dict(
    [*zip("‘’‛ʼ´", "'" * 5, strict=True), *zip("–—‒―−‐‑", "-" * 7, strict=True), *zip("×·⋅∗✕", "*" * 5, strict=True)]
    + [("÷", "/"), ("∶", ":"), ("≤", "<="), ("≦", "<="), ("⩽", "<="), ("≥", ">="), ("≧", ">="), ("⩾", ">="), ("≠", " ^= ")]
    + [(sign, f" {sign} ") for sign in "∠△⊥∥∈∪∩∞±≈≡→∑∏∫⊂⊆"]
    + [(sign, f"{plain_sign} ") for sign, plain_sign in zip("，；：？！؟؛،", ",;:?!?;,", strict=True)]
    + [(sign, ". ") for sign in "。．｡।॥۔።។၊။…"]
    + [(sign, " ") for sign in "“”„‟«»‹›「」『』【】《》〈〉、・¿¡•●■◆★☆"]
)  # fmt: skip
"""Signs beyond ASCII and how they are read."""
_INNERMOST = (
    # What may stand in the braces of a fraction, from the inside to the outside.
    (
        r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|boldsymbol|mbox|operatorname)\s*\{([^{}]*)\}",
        " $1 ",
    ),
    (r"\\(?:mathbb|mathrm|mathbf|mathcal)\s+(\w)", " $1 "),
    (r"\\sqrt\s*\{([^{}]*)\}|\\sqrt\s*(\w)", " √($1$2)"),
    (r"\^\s*\{\s*([^{}]*?)\s*\}", "^($1)"),
    (r"_\s*\{\s*([^{}]*?)\s*\}", "_($1)"),
    (r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", "($1)/($2)"),
    (r"\\frac\s*(\d)\s*(\d)", "$1/$2"),
    (r"\\frac\s*(\w)\s*\{([^{}]*)\}|\\frac\s*\{([^{}]*)\}\s*(\w)", "($1$3)/($2$4)"),
)
_SUPERSCRIPT, _SUBSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉"
_RAISED = dict(zip(_SUPERSCRIPT + _SUBSCRIPT, "0123456789+-n0123456789", strict=True))


def _plain_latex(text: pl.Expr) -> pl.Expr:
    # A command ends where its letters do: \le5 and \pi_1 are two things each.
    text = (
        text.str.replace_all(r"\\boxed\s*\{\s*\}", "boxed")
        .str.replace_all(r"\\(?:left|right)\s*\.", " ")
        .str.replace_all(r"\\[A-Za-z]+", "$0 ")
    )
    text = text.str.replace_many(list(_COMMANDS), list(_COMMANDS.values()))
    text = text.str.replace_all(r"\\!|\{,\}", "").str.replace_all(r"\\[,;:> ]|~|\\\\|\\[()\[\]]", " ")
    for _ in range(3):
        for pattern, instead in _INNERMOST:
            text = text.str.replace_all(pattern, instead)
    return text.str.replace_all(r"\\([%$#&{}])", "$1")


def _plain_foreign(text: pl.Expr) -> pl.Expr:
    text = text.str.replace_all(f"[{_SUPERSCRIPT}]+", "^($0)").str.replace_all(f"[{_SUBSCRIPT}]+", "_$0")
    signs = _LOOK_ALIKES | _RAISED
    text = text.str.replace_many(list(signs), list(signs.values())).str.replace_all(r"\^\s*\(?\s*°\s*\)?", "°")
    return text.str.replace_all(r"√\s*\(", " sqrt(").str.replace_all(r"√\s*(\d+|\p{L})", " sqrt($1)")


def _plain_marks(text: pl.Expr) -> pl.Expr:
    text = text.str.replace_all(r"\$|\*\*+", " ")
    text = text.str.replace_all(r"(\p{L})_\((\w+)\)|(\p{L})_(\d+|\p{L}\b)", "$1$2$3$4")
    text = text.str.replace_all(r"\^\((\w+)\)", "^$1")
    text = text.str.replace_all(r"(^|[^\w)])\(\s*([\w.^]+)\s*\)\s*/", "$1$2/")
    return text.str.replace_all(r"/\s*\(\s*([\w.^]+)\s*\)", "/$1")


def plain(texts: pl.Series) -> pl.Series:
    """Texts with their mathematics in one notation: \\dfrac, \\frac and a/b, \\leq, \\le and ≤, x^{2} and x², \\pi and π.

    Marks of punctuation of other scripts become those of ASCII, with a blank behind them.
    """
    texts = texts.cast(pl.String).fill_null("")
    texts = where(texts, texts.str.contains(r"\\[A-Za-z,!;(\[]|[\^_]\s*\{"), _plain_latex)
    texts = where(texts, is_foreign(texts), _plain_foreign)
    return where(texts, texts.str.contains(r"[$^_/]|\*\*"), _plain_marks)


def is_foreign(texts: pl.Series) -> pl.Series:
    """Which texts hold a character beyond ASCII."""
    return texts.str.len_bytes() != texts.str.len_chars()


def where(texts: pl.Series, mask: pl.Series, change: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """The texts, changed where the mask is true; the others cost nothing."""
    if not mask.any():
        return texts
    frame = pl.DataFrame({"text": texts, "mask": mask})
    changed = change(pl.when("mask").then("text"))
    return frame.select(pl.coalesce(changed, "text").alias(texts.name)).to_series()


_IMAGE = r"(?:<image>|<\|image(?:_pad)?\|>|<img>|\[image\]|<video>)"
_LABEL = (
    r"(?:q|question|problem|query|user|human|task|exercise|frage|aufgabe|pregunta|pergunta|domanda|вопрос|задача|질문|문제"
    r"|问题|問題|问|問|题目|題目|例题|例題|習題|习题|質問|設問|問い|คำถาม|โจทย์|السؤال|سؤال|प्रश्न|сұрақ|câu hỏi)\s*[0-9]*\s*[:.)]"
)
_ENGLISH = (
    "please kindly answer answers solve read look at view observe use using the following below above given this question "
    "questions problem image picture photo figure and then carefully briefly concisely directly in with a an one two single "
    "word words phrase sentence short number letter option choice choices your final only just give provide write output "
    "respond reply return step by think english chinese japanese french german spanish arabic thai as box boxed tags based "
    "on from of is be should must integer decimal result reasoning explain show work end put within inside without "
    "explanation no other text you need to are will my me concise brief correct yes or do not lets let it"
)
_VOCABULARY = (
    (_ENGLISH, r"\b[\s,]*"),
    (
        "bitte beantworte beantworten sie lies antworte die das den der folgende folgenden frage fragen auf deutsch englisch kurz mit einem wort und dann nur",
        r"\b[\s,]*",
    ),
    (
        "responde responda conteste por favor lee a la las el siguiente siguientes pregunta preguntas en español inglés una sola palabra brevemente y con",
        r"\b[\s,]*",
    ),
    (
        "répondez réponds veuillez répondre lisez à la question questions suivante suivantes en français anglais un seul mot brièvement et",
        r"\b[\s,]*",
    ),
    ("ответьте ответь пожалуйста на следующий вопрос вопросы по-русски одним словом кратко и", r"\b[\s,]*"),
    (
        "أجب اجب أجيبي عن على السؤال الأسئلة سؤال التالي الآتي التالية من فضلك يرجى الرجاء الإجابة بالعربية باللغة العربية الإنجليزية باختصار بإيجاز بكلمة واحدة فقط في الصورة انظر إلى ثم و",
        r"\b[\s,]*",
    ),
    (
        "다음 질문에 질문 문제에 문제를 문제 답하세요 답하시오 답해 주세요 답변하세요 답변해 풀어 풀어주세요 한국어로 영어로 간단히 짧게 한 단어로 를 을 에",
        r"[\s,]*",
    ),
    (
        "请 你 您 用 以 直接 简短 简洁 简要 仔细 认真 根据 结合 按照 阅读 观察 看 回答 解答 作答 给出 写出 说明 输出 只 仅 下面 以下 下列 如下 上面 这个 这道 该 一个 图片 图像 图中 图 的 问题 题目 题 提问 答案 最终 选项 字母 中文 英文 汉语 英语 单词 词 短语 短句 一句话 话 数字 步骤 一步一步 逐步 思考 推理 地 来 并 和 或 中 内容 要求 后 再 進行 進一步 請 問題 簡短 回覆 回复 直接 進行 即可",
        r"[\s,]*",
    ),
    (
        "次 以下 下記 の 質問 問題 問い 設問 に を は で 答え 回答 解答 解い 解き て ください 下さい なさい よ 日本語 英語 簡潔 簡単 短く 一言 単語 画像 図 写真 見 見て 読んで 読み よく 最後 だけ のみ お 答えて しろ せよ",
        r"[\s,]*",
    ),
    (
        "จง โปรด กรุณา ช่วย ตอบ คำถาม ต่อไปนี้ ข้างล่าง ด้านล่าง นี้ เป็น ภาษา ไทย อังกฤษ สั้น ๆ อย่าง ให้ ที่ ใน จาก ภาพ รูป ดู แล้ว โดย คำตอบ เดียว คำ ครับ ค่ะ ด้วย สุดท้าย",
        r"[\s,]*",
    ),
)
"""Words that an instruction is made of, by language, and what follows each. A sentence of nothing else asks nothing."""


def _instruction() -> str:
    parts = []
    for words, behind in _VOCABULARY:
        listed = sorted(dict.fromkeys(words.split()), key=len, reverse=True)
        parts.append(f"(?:(?:{'|'.join(listed)}){behind})+")
    return f"(?:{'|'.join(parts)})"


def _unspaced_front() -> str:
    """Thai ends no sentence with a sign: a blank is enough."""
    listed = sorted(_VOCABULARY[-1][0].split(), key=len, reverse=True)
    return rf"(?:{'|'.join(listed)})+[\s:.]+"


_END = r"(?:[.:!]+(?:\s+|$)|\s*\n+\s*)"
_FRONT = rf"(?i)^(?:\s*{_IMAGE}|\s*{_LABEL}|\s*{_instruction()}{_END}|\s*{_unspaced_front()})+\s*"
_BEHIND_SPACED = rf"(?i)([.?!:]\s+|\n\s*){_instruction()}[.!:]*\s*$"
_BEHIND_UNSPACED = rf"([{SOUTH_EAST_ASIAN}]\s+){_instruction()}[.!:]*\s*$"
_ANSWER = r"(?i)\s*(?:answer|a|答|答案|回答|答え|คำตอบ|الجواب|الإجابة|antwort|respuesta|réponse|ответ|답|정답)\s*:\s*$"


def without_frame(texts: pl.Series) -> pl.Series:
    """Texts (of `plain`) without what prompts put around a question: labels, marks of images, and sentences in front or
    behind that are made of the words of instructions alone ("Answer the following question.", 请用中文回答). A text that is
    nothing else stays."""
    bare = texts.str.replace(_FRONT, "")
    for _ in range(2):
        bare = bare.str.replace(_ANSWER, "").str.replace(_BEHIND_SPACED, "$1").str.replace(_BEHIND_UNSPACED, "$1")
    bare = bare.str.replace(rf"\s*{_IMAGE}\s*$", "").str.strip_chars()
    return bare.zip_with(bare.str.contains(r"[\p{L}\p{N}]"), texts)


_PARTICLES = {
    HAN: "请问 請問 请 請 那么 那麼 一共 总共 總共 的 了 吗 嗎 呢 啊 吧 呀 嘛 在",
    KANA: "でしょうか ですか でしょう です ます か は が ね",
    SOUTH_EAST_ASIAN: "ครับ ค่ะ คะ นะ ก็ ซึ่ง อยู่ กรุณา โปรด",
}
"""What scripts without blanks have for words of no meaning of their own. Struck out wherever the letters stand, inside
other words too: both texts of a pair lose them alike, so only a text that differs in nothing else is taken for the
same."""


def without_particles(text: pl.Expr) -> pl.Expr:
    """A text without the particles of Chinese, Japanese and Thai."""
    for words in _PARTICLES.values():
        text = text.str.replace_many(words.split(), [""] * len(words.split()), leftmost=True)
    return text
