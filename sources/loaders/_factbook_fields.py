"""The World Factbook's fields that questions are asked about, and the short checkable answer in the text of each."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from records.question import AnswerType
from sources.loaders._factbook_pages import Page, clean, lookup

_OTHER_NAMES = {
    "UK": "United Kingdom", "US": "United States", "UAE": "United Arab Emirates", "Burma": "Myanmar",
    "Czechia": "Czech Republic", "Czech Republic": "Czechia", "Cote d'Ivoire": "Ivory Coast", "Turkey": "Türkiye",
    "Timor-Leste": "East Timor", "Eswatini": "Swaziland", "Holy See": "Vatican City", "Macedonia": "North Macedonia",
    "Democratic Republic of the Congo": "DRC", "The Gambia": "Gambia",
}  # fmt: skip


class NoAnswer(Exception):
    """A field that has no short answer. `reason` is the code for the reject row."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class FieldAnswer:
    """The answer in a field, with other texts that count as right."""

    text: str
    aliases: list[str] = field(default_factory=list)


def _outside_parentheses(text: str) -> tuple[str, list[str]]:
    """The text without what stands in parentheses, and what stood there."""
    inside = re.findall(r"\(([^()]*)\)", text)
    return re.sub(r"\s+", " ", re.sub(r"\s*\([^()]*\)", "", text)).strip(), inside


def _plain_ascii(name: str) -> list[str]:
    """The Factbook writes many names without diacritics; verdicts ignore them, so no alias is needed for that."""
    return [re.sub(r"(?i)\bSaint\b", "St.", name)] if re.search(r"(?i)\bSaint\b", name) else []


def capital(text: str, page: Page) -> FieldAnswer:
    # A note or a second capital follows a semicolon or a comma; "Washington, D.C." is one name.
    main = re.split(r";\s*note\b", text)[0]
    if ";" in main or re.search(r"\bcapital\)|\bno official|administered|recognized", main):
        raise NoAnswer("several_answers")
    name, inside = _outside_parentheses(main)
    name = re.split(r"\s+in Romanian", name)[0]
    if "," in name and not re.search(r", D\.?C\.?$", name):
        raise NoAnswer("several_answers")
    aliases = [part.strip() for text in inside for part in re.split(r"[/,]", text)]
    aliases = [
        a for a in aliases if re.fullmatch(r"[A-Z][\w' -]{2,30}", a) and not re.match(r"(?i)on |located|base ", a)
    ]
    if name.endswith((", D.C.", ", DC")):
        aliases += ["Washington", "Washington DC"]
    if name.endswith(" City"):
        aliases.append(name.removesuffix(" City"))
    return FieldAnswer(name, aliases + _plain_ascii(name))


def currency(text: str, page: Page) -> FieldAnswer:
    match = re.match(r"(?P<name>[^()]+?)\s*(?:\((?P<code>[A-Z]{2,3}(?:/[A-Z]{3})?)\)\s*)?per US dollar", text)
    if match is None:
        raise NoAnswer("unreadable")
    if " or " in match["name"]:
        raise NoAnswer("several_answers")
    names = [match["name"], *(match["name"].split("/") if "/" in match["name"] else [])]
    for name in list(names):
        last = name.split()[-1]
        names.append(_singular(name))
        # "The dollar" or "the franc" alone names no currency; "the rupee" or "the peso" is what people say.
        if last not in ("dollars", "pounds", "francs"):
            names += [last, _singular(last)]
    if "Afri" in match["name"]:
        names.append("CFA franc")
    adjective = clean(lookup(page.data, ("People and Society", "Nationality", "adjective")) or "")
    if adjective and " " not in match["name"]:
        names += [f"{adjective} {match['name']}", f"{adjective} {_singular(match['name'])}"]
    codes = match["code"].split("/") if match["code"] else []
    return FieldAnswer(match["name"], list(dict.fromkeys([*names[1:], *codes])))


def _singular(name: str) -> str:
    irregular = {"kroner": "krone", "kronor": "krona", "kronur": "krona", "koruny": "koruna", "leva": "lev",
                 "lei": "leu", "leke": "lek", "reals": "real", "maloti": "loti", "emalangeni": "lilangeni",
                 "zlotych": "zloty", "meticais": "metical", "colones": "colon", "quetzales": "quetzal"}  # fmt: skip
    head, _, last = name.rpartition(" ")
    last = irregular.get(last, last[:-1] if last.endswith("s") and not last.endswith("ss") else last)
    return f"{head} {last}".strip()


def internet_code(text: str, page: Page) -> FieldAnswer:
    if not re.fullmatch(r"\.[a-z]{2}", text):
        raise NoAnswer("several_answers")
    return FieldAnswer(text, [text[1:]])


def official_language(text: str, page: Page) -> FieldAnswer:
    if len(re.findall(r"\bofficial", text)) != 1:
        raise NoAnswer("several_answers" if "official" in text else "no_short_answer")
    match = re.search(r"(?:^|[,;]\s*)([A-Z][A-Za-z ]{2,30}?)(?:\s+[\d.]+%)?\s*\(official\)", text)
    if match is None:
        raise NoAnswer("no_short_answer")
    names = re.split(r"\s+or\s+", match[1])
    if re.search(r"\b(only|other|and|languages?)\b", match[1]):
        raise NoAnswer("no_short_answer")
    return FieldAnswer(names[0], names[1:])


def highest_point(text: str, page: Page) -> FieldAnswer:
    main = text.split(";")[0]
    main, inside = _outside_parentheses(main)
    match = re.match(r"(?P<name>.+?),?\s+[\d,.]+(?:\s*m)?$", main)
    if match is None or re.match(r"(?i)unnamed|[\d.]|ocean-side|.*\b(SW|SE|NE|NW|km|and)\b", match["name"]):
        raise NoAnswer("no_short_answer")
    name = re.split(r"\s+(?:on|at|in)\s+", match["name"])[0]
    if len(name.split()) > 5 or "," in name:
        raise NoAnswer("no_short_answer")
    aliases = [match["name"]] if name != match["name"] else []
    aliases += [
        a.strip() for part in inside for a in part.split(" or ") if re.fullmatch(r"[A-Z][\w'. -]{3,30}", a.strip())
    ]
    aliases += [part for part in name.split("/") if "/" in name]
    bare = re.sub(
        r"^(?:Mount|Mt\.?|Mont|Pico|Pic|Cerro|Jebel|Jabal|Gora|Monte|Volcan|Puncak|Gunung|Bukit|Doi) (?:de )?", "", name
    )
    # "Kenya" is no answer to a question about Kenya.
    return FieldAnswer(name, aliases + ([bare] if bare != name and len(bare) > 3 and bare not in page.name else []))


def number(text: str, page: Page) -> FieldAnswer:
    """A number at the head of the field; `1.284 million` is written out."""
    match = re.match(r"(?P<value>\d[\d,]*(?:\.\d+)?)\s*(?P<scale>million|billion)?\b", text)
    if match is None:
        raise NoAnswer("no_short_answer")
    if "less than" in text or "ca." in text or re.search(r"[\d] sq km ?; ", text):
        raise NoAnswer("no_short_answer")
    value = match["value"].replace(",", "")
    if match["scale"]:
        whole, _, rest = value.partition(".")
        zeros = {"million": 6, "billion": 9}[match["scale"]]
        value = whole + rest.ljust(zeros, "0")
    if float(value) == 0:
        raise NoAnswer("zero")
    return FieldAnswer(value)


def independence_year(text: str, page: Page) -> FieldAnswer:
    years = re.findall(r"\b1\d{3}\b|\b20\d{2}\b", text)
    if len(years) != 1 or re.search(r"(?i)^no\b|^none|no official|traditional|ca\.", text):
        raise NoAnswer("several_answers" if len(years) > 1 else "no_short_answer")
    return FieldAnswer(years[0])


def national_symbol(text: str, page: Page) -> FieldAnswer:
    name, _ = _outside_parentheses(text)
    if re.search(r"[,;:]| and |no official", name) or len(name.split()) > 4:
        raise NoAnswer("several_answers")
    return FieldAnswer(name, [name.split()[-1]] if re.search(r"(?i) eagle$| lion$", name) else [])


def anthem(text: str, page: Page) -> FieldAnswer:
    match = re.match(r'["“](?P<title>[^"“”]{3,80})["”]\s*(?:\((?P<english>[^()]{3,80})\))?\s*$', text)
    if match is None:
        raise NoAnswer("no_short_answer")
    return FieldAnswer(match["title"], [match["english"].strip(' "“”')] if match["english"] else [])


def aircraft_prefix(text: str, page: Page) -> FieldAnswer:
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9-]{0,3}", text):
        raise NoAnswer("several_answers")
    return FieldAnswer(text)


def neighbours(text: str, page: Page) -> FieldAnswer:
    """One to four countries with a land border, as a set."""
    names = []
    for part in re.split(r";|,(?!\d)", re.sub(r"\([^()]*\)", "", text)):
        match = re.fullmatch(r"\s*(?P<name>[A-Z][A-Za-z'. -]+?)\s+[\d,.]+\s*km\s*", part)
        if match is None:
            raise NoAnswer("unreadable")
        names.append(match["name"])
    if len(names) > 4:
        raise NoAnswer("too_many_answers")
    variants = itertools.product(*([n, _OTHER_NAMES[n]] if n in _OTHER_NAMES else [n] for n in names))
    first, *others = [", ".join(v) for v in variants]
    return FieldAnswer(first, others)


@dataclass(frozen=True)
class FieldRule:
    """A field that questions are asked about."""

    path: tuple[str, ...]
    parse: Callable[[str, Page], FieldAnswer]
    answer_type: AnswerType
    templates: tuple[str, ...]


FIELDS: dict[str, FieldRule] = {
    "capital": FieldRule(("Government", "Capital", "name"), capital, "short_text", (
        "What is the capital of {name}?", "Which city is the capital of {name}?", "Name the capital of {name}.")),
    "currency": FieldRule(("Economy", "Exchange rates", "Currency"), currency, "short_text", (
        "What is the currency of {name}?", "Which currency is used in {name}?",
        "In which currency are exchange rates of {name} given?")),
    "internet_code": FieldRule(("Communications", "Internet country code"), internet_code, "short_text", (
        "What is the internet country code of {name}?", "Which internet country code does {name} have?",
        "Give the internet country code of {name}.")),
    "official_language": FieldRule(("People and Society", "Languages", "Languages"), official_language, "short_text", (
        "What is the official language of {name}?", "Which of the languages of {name} is official?")),
    "highest_point": FieldRule(("Geography", "Elevation", "highest point"), highest_point, "short_text", (
        "What is the highest point of {name}?", "Name the highest point of {name}.",
        "What is the name of the highest elevation in {name}?")),
    "area": FieldRule(("Geography", "Area", "total "), number, "number", (
        "What is the total area of {name} in sq km?", "How many sq km is the total area of {name}?")),
    "coastline": FieldRule(("Geography", "Coastline"), number, "number", (
        "How long is the coastline of {name} in km?", "What is the length of the coastline of {name}, in km?")),
    "median_age": FieldRule(("People and Society", "Median age", "total"), number, "number", (
        "What is the total median age in {name}, in years?", "What is the median age of the population of {name}?")),
    "independence_year": FieldRule(("Government", "Independence"), independence_year, "number", (
        "In which year did {name} gain its independence?", "What is the year of the independence of {name}?")),
    "world_heritage_sites": FieldRule(
        ("Government", "National heritage", "total World Heritage Sites"), number, "number", (
        "How many World Heritage Sites does {name} have in total?",
        "What is the total number of World Heritage Sites in {name}?")),
    "airports": FieldRule(("Transportation", "Airports"), number, "number", (
        "How many airports does {name} have?", "What is the number of airports in {name}?")),
    "national_symbol": FieldRule(("Government", "National symbol(s)"), national_symbol, "short_text", (
        "What is the national symbol of {name}?", "Name the national symbol of {name}.")),
    "anthem": FieldRule(("Government", "National anthem(s)", "title"), anthem, "short_text", (
        "What is the title of the national anthem of {name}?", "Give the title of the national anthem of {name}.")),
    "aircraft_prefix": FieldRule(
        ("Transportation", "Civil aircraft registration country code prefix"), aircraft_prefix, "short_text", (
        "What is the civil aircraft registration country code prefix of {name}?",
        "Which civil aircraft registration prefix does {name} use?")),
    "neighbours": FieldRule(("Geography", "Land boundaries", "border countries"), neighbours, "set", (
        "Which border countries does {name} have? List them all.",
        "List all countries that share a land boundary with {name}.")),
}  # fmt: skip
