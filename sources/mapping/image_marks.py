"""The marks by which a text says where its images belong, such as `<image>` in the data of LLaVA."""

import re

_MARK = (
    r"(?:<image>|<image[ _-]?\d{1,2}>|<img>|<ImageHere>|<\|image(?:_\d{1,2}|_pad)?\|>|\[IMG\]|<start_of_image>"
    r"|<\|vision_start\|>(?:<\|image_pad\|>)?<\|vision_end\|>)"
)
_ANY = re.compile(_MARK)
_FIRST = re.compile(rf"\s*(?:{_MARK}\s*)+")
_LAST = re.compile(rf"(?:\s*{_MARK})+\s*\Z")


def without_image_marks(text: str, images: int) -> str:
    """The text without the marks at its beginning and end, if these are all that it has and one for each image: the
    prompt shows the images before the text, so nothing is lost. Else the text as it is."""
    if not images or len(_ANY.findall(text)) != images:
        return text
    first = _FIRST.match(text)
    bare = text[first.end() :] if first else text
    while _ANY.search(bare) and (last := _LAST.search(bare)):
        bare = bare[: last.start()]
    return text if _ANY.search(bare) else bare.strip()
