"""The image store: every image is stored once, under the hash of its bytes."""

import base64
import hashlib
import io
import uuid

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

MAX_PIXELS = 50_000_000
"""The most pixels of an image; larger ones are refused before they are decoded."""
MAX_BYTES = 100_000_000
"""The most bytes of an image file; longer ones are refused without being read."""


class ImageError(ValueError):
    """Bytes that are not an acceptable image. `reason` is the code for a reject row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def check_image(data: bytes) -> tuple[int, int]:
    """Decode `data` once and return (width, height) in pixels.

    Raises:
        ImageError: `image_unreadable` for bytes that are not a whole image, `image_too_large` beyond MAX_PIXELS.
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
"""The version of the rules for normal forms and perceptual hashes."""


class ImageFacts(BaseModel):
    """What is known about an image that came in: one row of the table of images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    """The hash of the stored bytes (sha256, hexadecimal): the image's name in the ImageStore."""
    arrived: str
    """The hash of the bytes that came in; the same if they are stored unchanged."""
    width: int
    """The width of the stored image in pixels."""
    height: int
    """The height of the stored image in pixels."""
    format: str
    """The format of the stored image: jpeg, png or webp."""
    changes: list[str] = Field(default_factory=list)
    """The changes that brought it into its normal form, as codes (records/images/normal_form.py); [] for unchanged
    bytes."""
    phash: int
    """The perceptual hash, 64 bits as a signed number (records/images/perceptual_hash.py)."""
    inner_phash: int
    """The perceptual hash of the image without uniform borders."""
    thumbnail: bytes
    """The image without uniform borders, as 16 x 16 RGB pixels."""
    version: int = FACTS_VERSION
    """The version of the rules that made this row; an image with another version is decoded again."""


class ImageStore:
    """The images under an fsspec root, in folders named after the first two digits of the hash."""

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
        """The bytes that are stored under a hash. Raises FileNotFoundError for an unknown hash."""
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
