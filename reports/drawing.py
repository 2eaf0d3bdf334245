"""Pictures of numbers, drawn with Pillow and small enough to lie in an asset's metadata.

matplotlib 3.11 was tried on the two most typical pictures, with the same data, letters, colours and palette of 16
colours (Pillow → matplotlib; times are the lowest of several runs on a busy machine of two cores):

- 40 questions with their rates: 35.3 kB → 50.0 kB, 0.46 s → 0.78 s; funnels of three sources and of all: 16.8 kB →
  20.5 kB, 0.17 s → 0.51 s. Letters one pixel smaller: 46.2 kB and 18.5 kB. SVG: 96 kB and 40 kB, with letters that the
  reader's machine must have; 230 kB and 107 kB, with letters as curves.
- Code of the two pictures and what they share: 159 lines → 174 lines, though the trial left out the funnel's short form
  for many sources. Both pictures are tables with marks in some of their columns: every column of text needs a place in
  either library, and only the axis with its grid came for free.
- Both look the same, on light and dark pages alike, because both lie on white.

Twice the time was no reason; more bytes in every stored event for no fewer lines was. The bytes go into the letters,
which matplotlib places between pixels: the same letter then looks different each time and compresses worse (Pillow's
own font in matplotlib made no difference). Ordinary curves with axes are another matter: benchmarks/benefit/figures.py
draws them with matplotlib, in 116 lines instead of 168.
"""

import base64
import functools
import io
import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont

KEPT = "#b8860b"
"""The colour of rows that are left."""
LOST = "#c0392b"
"""The colour of rows that a step rejected."""
EMPTY = "#ececec"
"""The colour of what was lost before, and of grid lines."""
INK = "#222222"
"""The colour of letters."""
FAINT = "#777777"
"""The colour of letters that come second, and of what is undecided."""
TEXT = 12
"""The height of ordinary letters in pixels."""
TITLE = 14
"""The height of a heading's letters in pixels."""
LIKE = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d\u00d7\u00f7\u2264\u2265", "------''\"\"x/<>"
)
"""Signs that the font lacks and what stands for them."""
# Colours that colour-blind people can tell apart (Okabe and Ito 2008, "Color Universal Design").
GAIN = "#0072b2"
"""The colour of gain."""
HARM = "#d55e00"
"""The colour of harm."""
HABIT = "#cc79a7"
"""The colour of what the habit of calling explains."""
CONTENT = "#009e73"
"""The colour of what the content of the results explains."""
RESULTS = "#56b4e9"
"""The colour of what results alone give."""
GREYS = ("#aaaaaa", "#cccccc")
"""Two greys that smooth the edges of letters."""
COLOURS = ("#ffffff", KEPT, LOST, EMPTY, INK, FAINT, *GREYS, GAIN, HARM, HABIT, CONTENT, RESULTS)
"""All colours of a picture: up to sixteen take half the bytes that free shades would."""


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


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    fill: str = INK,
    size: int = TEXT,
    anchor: str = "la",
) -> None:
    """Draw one line of text; `anchor` says which of its points is `at`, as in Pillow (left and ascender: "la")."""
    draw.text(at, text, fill=fill, font=font(size), anchor=anchor)


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
        write(draw, (middle, upper - 3), f"{value:g}", anchor="ms")
        write(draw, (middle, head + height + 4), label, anchor="ma")
    write(draw, (gap, head + height + 22), title)
    return markdown_image(image, title)
