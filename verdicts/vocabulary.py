"""The words of numbers, units and money that no library keeps: which are no unit, what they mean beside the names of
pint, and currencies."""

from verdicts.notation import words

DOLLARS = frozenset({"USD", "AUD", "CAD", "HKD", "NZD", "SGD", "TWD"})
MONEY: dict[str, frozenset[str] | str] = {
    "$": DOLLARS, "dollar": DOLLARS, "buck": DOLLARS, "us$": "USD", "usd": "USD", "us dollar": "USD", "美元": "USD",
    "a$": "AUD", "aud": "AUD", "c$": "CAD", "cad": "CAD", "hk$": "HKD", "hkd": "HKD", "港元": "HKD", "nt$": "TWD",
    "s$": "SGD", "sgd": "SGD", "€": "EUR", "eur": "EUR", "euro": "EUR", "欧元": "EUR", "£": "GBP", "gbp": "GBP",
    "british pound": "GBP", "pound sterling": "GBP", "英镑": "GBP", "¥": frozenset({"JPY", "CNY"}), "jpy": "JPY",
    "yen": "JPY", "円": "JPY", "日元": "JPY", "cny": "CNY", "rmb": "CNY", "yuan": "CNY", "renminbi": "CNY",
    "元": frozenset({"CNY", "TWD", "HKD", "USD"}), "人民币": "CNY", "₹": "INR", "rs": "INR", "inr": "INR",
    "rupee": "INR", "₩": "KRW", "krw": "KRW", "won": "KRW", "원": "KRW", "chf": "CHF", "swiss franc": "CHF",
}  # fmt: skip
CENTS = {"cent": DOLLARS | {"EUR"}, "¢": DOLLARS, "eurocent": frozenset({"EUR"}), "pence": frozenset({"GBP"})}
# Words after a number that are no name of what is counted: they join, bound, multiply or continue it.
NO_NAME = frozenset(
    words(
        "or and to of not x vs versus minus plus times over by than per-cent mod modulo pi sqrt root squared "
        "cubed square cube factorial choose dozen dozens hundred hundreds thousand thousands million millions "
        "billion billions trillion trillions half halves third thirds quarter quarters fourth fourths fifth "
        "fifths sixth sixths seventh eighth eighths ninth tenth tenths hundredth hundredths thousandth "
        "thousandths point infinity inf log sin cos tan exp if when where but is are was were be because so "
        "then from through until between above below under at least most about up theta alpha beta gamma "
        "delta lambda sigma omega epsilon phi psi remainder rem off unless except for with without either "
        "neither nor maybe perhaps unknown none no yes it there this that as fold divided multiplied added "
        "subtracted equals equal greater double twice triple score gross mil lakh lakhs crore crores out "
    )
)
NO_NAME_SIGNS = frozenset("十百千万亿兆萬億半多余几分之点到至或和与及加减乘除约以上下左右倍成折个百분만억천반또")
SYMBOLS = frozenset("mgshlLAVWJNKCF")
"""Units of one letter; any other letter is a variable."""
SHORT = frozenset(
    words("ft in yd mi lb oz hr yr ha Pa Hz eV cc Wh Ah kn nmi rad deg min sec mol bar gal mph atm cal kph")
)
PREFIXED = frozenset(words("m g l L s W V A J N Pa Hz eV B mol Ω ohm cal Wh F H bar bit byte T t"))
PREFIXES = frozenset({"k", "c", "m", "d", "n", "μ", "u", "M", "G", "T", "h", "p"})
SPELLED = {
    "℃": "degC", "celsius": "degC", "centigrade": "degC", "fahrenheit": "degF", "kelvins": "kelvin", "kms": "km",
    "kilos": "kg", "kgs": "kg", "cms": "cm", "mms": "mm", "mls": "ml", "kmh": "kph", "kmph": "kph",
    "mtr": "meter", "tonnes": "tonne",
    "米": "m", "厘米": "cm", "公分": "cm", "毫米": "mm", "分米": "dm", "千米": "km", "公里": "km", "千克": "kg",
    "公斤": "kg", "克": "g", "毫克": "mg", "吨": "tonne", "升": "l", "毫升": "ml", "小时": "hour", "時間": "hour",
    "分钟": "minute", "秒": "second", "秒钟": "second", "天": "day", "周": "week", "年": "year", "岁": "year",
    "摄氏度": "degC", "华氏度": "degF", "牛顿": "newton", "焦耳": "joule", "瓦": "watt", "伏": "volt",
}  # fmt: skip
DEGREES = ("degree", "degC", "degF")
AMBIGUOUS = {
    "°": DEGREES, "degree": DEGREES, "degrees": DEGREES, "deg": DEGREES, "度": DEGREES, "C": ("C", "degC"),
    "F": ("F", "degF"),
}  # fmt: skip
MARKS = {"'": "ft", "''": "in", '"': "in", "″": "in"}
PHRASES = {
    "nautical mile": "nautical_mile", "light year": "light_year", "light*year": "light_year", "watt hour": "watt_hour",
    "fl oz": "fluid_ounce", "fluid ounce": "fluid_ounce", "metric ton": "metric_ton",
}  # fmt: skip
SCALES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "milliard": 9, "trillion": 12, "lakh": 5, "lac": 5,
    "crore": 7, "k": 3, "bn": 9, "mn": 6, "mln": 6, "mio": 6, "bln": 9, "tn": 12, "trn": 12,
}  # fmt: skip
"""Powers of ten by words."""
SIGN_SCALES = {
    "十": 1, "百": 2, "千": 3, "仟": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12, "백": 2, "천": 3, "만": 4,
    "억": 8,
    "조": 12,
}  # fmt: skip
"""Powers of ten by signs."""
