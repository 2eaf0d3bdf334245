"""What a picture shows, read from its SVG: its texts, and its level lines by colour."""

import base64
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import matplotlib
from PIL import ImageFont

SVG = "{http://www.w3.org/2000/svg}"


class Stroke(NamedTuple):
    left: float
    right: float
    y: float
    thick: float
    opacity: float

    @property
    def long(self):
        return self.right - self.left


class Drawn:
    """The picture with this number in a markdown text."""

    def __init__(self, markdown, number=0):
        data = base64.b64decode(re.findall(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([^)]*)\)", markdown)[number])
        self.size, self._root = len(data), ElementTree.fromstring(data)
        self.width, self.height = map(float, self._root.get("viewBox").split()[2:])

    @property
    def texts(self):
        return [element.text or "" for element in self._root.iter(f"{SVG}text")]

    def strokes(self, colour):
        """Level lines of this colour in the order in which they were drawn, which is downwards in a list."""
        found = []
        for path in self._root.iter(f"{SVG}path"):
            style = dict(part.split(": ") for part in path.get("style", "").split("; ") if part)
            numbers = re.findall(r"M ([\d.-]+) ([\d.-]+) L ([\d.-]+) ([\d.-]+)", path.get("d"))
            if style.get("stroke") == colour and style.get("fill") == "none":
                look = float(style.get("stroke-width", 1)), float(style.get("stroke-opacity", 1))
                ends = [tuple(map(float, four)) for four in numbers]
                found += [Stroke(min(a, c), max(a, c), b, *look) for a, b, c, d in ends if b == d]
        return found

    def cut_off(self):
        """Texts that reach beyond the picture, in a font as wide as any that browsers take."""
        file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        out = []
        for element in self._root.iter(f"{SVG}text"):
            style = element.get("style")
            size = float(re.search(r"font-size: ([\d.]+)px", style)[1])
            long = ImageFont.truetype(file, size).getlength(element.text or "")
            x, y = float(element.get("x")), float(element.get("y"))
            left = x - long * {"start": 0, "middle": 0.5, "end": 1}[re.search(r"text-anchor: (\w+)", style)[1]]
            if left < 0 or left + long > self.width or not size * 0.7 < y < self.height:
                out.append(element.text)
        return out
