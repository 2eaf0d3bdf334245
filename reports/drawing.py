"""Pictures of numbers, drawn with Pillow and small enough to lie in an asset's metadata."""

import base64
import functools
import io
import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont

KEPT, LOST, EMPTY, INK, FAINT = "#b8860b", "#c0392b", "#ececec", "#222222", "#777777"
TEXT, TITLE = 12, 14
LIKE = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d\u00d7\u00f7\u2264\u2265", "------''\"\"x/<>"
)
"""Signs that the font lacks and what stands for them."""
GAIN, HARM, HABIT, CONTENT, RESULTS = "#0072b2", "#d55e00", "#cc79a7", "#009e73", "#56b4e9"
"""Colours that colour-blind people can tell apart (Okabe and Ito 2008, "Color Universal Design")."""
GREYS = ("#aaaaaa", "#cccccc")
COLOURS = ("#ffffff", KEPT, LOST, EMPTY, INK, FAINT, *GREYS, GAIN, HARM, HABIT, CONTENT, RESULTS)
"""All that a picture has: up to sixteen take half the bytes that shades without number would; the greys smooth the
letters."""


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, in pixels."""
    return ImageFont.load_default(size)


def width(text: str, size: int = TEXT) -> float:
    """Pixels that a line of text takes."""
    return font(size).getlength(text)


def one_line(text: object, pixels: float, size: int = TEXT) -> str:
    """`text` on one line, cut with an ellipsis where it is wider than `pixels`."""
    line = " ".join(str(text).split())[:200]
    if width(line, size) <= pixels:
        return line
    while line and width(f"{line}…", size) > pixels:
        line = line[:-1]
    return f"{line}…"


def plain_letters(text: object) -> str:
    """`text` in letters that the font has: accents left out, any other sign as a question mark."""
    folded = unicodedata.normalize("NFKD", str(text)).translate(LIKE)
    return "".join(c if c.isascii() else "?" for c in folded if not unicodedata.combining(c))


def markdown_image(image: Image.Image, title: str) -> str:
    """A picture in COLOURS as a markdown image (Dagster has no image type; a data URI in markdown is the idiom)."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for colour in COLOURS for channel in ImageColor.getrgb(colour)])
    buffer = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def bar_chart(labels: Sequence[str], values: Sequence[float], title: str) -> str:
    """Upright bars with their values, as a markdown image of a few kB."""
    bar, gap, height, head, foot = 48, 10, 100, 20, 40
    across = max(gap + len(labels) * (bar + gap), int(width(title)) + 2 * gap)
    image = Image.new("RGB", (across, head + height + foot), "white")
    draw = ImageDraw.Draw(image)
    top = max([*values, 1])
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        left, middle = gap + index * (bar + gap), gap + index * (bar + gap) + bar / 2
        upper = head + height - int(height * value / top)
        draw.rectangle([left, upper, left + bar, head + height], fill=KEPT)
        draw.text((middle, upper - 3), f"{value:g}", fill=INK, font=font(TEXT), anchor="ms")
        draw.text((middle, head + height + 4), label, fill=INK, font=font(TEXT), anchor="ma")
    draw.text((gap, head + height + 22), title, fill=INK, font=font(TEXT))
    return markdown_image(image, title)
