"""Images, stored once under the hash of their bytes, as the bytes that came in."""

import base64
import hashlib
import io
import uuid

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

MAX_PIXELS = 50_000_000
"""Images with more pixels are refused before they are decoded."""
MAX_BYTES = 100_000_000
"""Longer files are refused unread."""


class ImageError(ValueError):
    """Bytes that are no image we take. `reason` is the code for a reject row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def check_image(data: bytes) -> tuple[int, int]:
    """Decode `data` once and return (width, height) in pixels.

    Raises:
        ImageError: `image_unreadable` for bytes that are no whole image, `image_too_large` beyond MAX_PIXELS.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            size = image.size
            if size[0] * size[1] > MAX_PIXELS:
                raise ImageError("image_too_large", f"{size[0]}x{size[1]} pixels, at most {MAX_PIXELS} are taken")
            image.load()
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("image_too_large", str(error)) from error
    except Exception as error:  # a broken image may raise anything out of its decoder
        raise ImageError("image_unreadable", f"{type(error).__name__}: {error}") from error
    return size


FACTS_VERSION = 2
"""Raised when the normal form or the perceptual hashes change."""


class ImageFacts(BaseModel):
    """What is known of an image that came in; one row of the table of images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    """Hash of the bytes that are stored (sha256, hexadecimal): its name in the ImageStore."""
    arrived: str
    """Hash of the bytes that came in: the same, where they are stored as they came."""
    width: int
    """Pixels of the stored picture, as are height and format."""
    height: int
    format: str
    """jpeg, png or webp."""
    changes: list[str] = Field(default_factory=list)
    """What brought it into its normal form, as codes (records/images/normal_form.py); [] for bytes stored as they
    came."""
    phash: int
    """Perceptual hash, 64 bits as a signed number (records/images/perceptual_hash.py)."""
    inner_phash: int
    """The same without uniform borders."""
    thumbnail: bytes
    """16 x 16 RGB without uniform borders."""
    version: int = FACTS_VERSION
    """Of the rules that made them: images are looked at again when these change."""


class ImageStore:
    """Content-addressed images under an fsspec root, in folders of the hash's first two digits."""

    def __init__(self, root: str) -> None:
        import fsspec  # processes that only decode start without it

        self.root = root.rstrip("/")
        self._fs, self._path = fsspec.url_to_fs(self.root)

    def _file(self, image: str) -> str:
        return f"{self._path}/{image[:2]}/{image}"

    def put(self, data: bytes) -> str:
        """Store `data` unless it is there already, and return its hash."""
        image = hashlib.sha256(data).hexdigest()
        path = self._file(image)
        if not self._fs.exists(path):
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            part = f"{path}.{uuid.uuid4().hex}.tmp"
            with self._fs.open(part, "wb") as file:
                file.write(data)
            self._fs.mv(part, path)
        return image

    def get(self, image: str) -> bytes:
        """The bytes stored under a hash. Raises FileNotFoundError for an unknown one."""
        with self._fs.open(self._file(image), "rb") as file:
            return file.read()

    def data_uri(self, image: str, max_side: int | None = None) -> str:
        """The image as a data URI; with `max_side`, shrunk to a small PNG that fits (for people to look at)."""
        data = self.get(image)
        with Image.open(io.BytesIO(data)) as opened:
            kind = (opened.format or "png").lower().replace("mpo", "jpeg")
            if max_side is not None:
                thumbnail = opened.convert("RGB")
                thumbnail.thumbnail((max_side, max_side))
                buffer = io.BytesIO()
                thumbnail.save(buffer, "PNG", optimize=True)
                data, kind = buffer.getvalue(), "png"
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
