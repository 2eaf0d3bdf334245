"""Images, stored once under the hash of their bytes, as the bytes that came in."""

import base64
import hashlib
import io
import uuid

import fsspec
from PIL import Image

MAX_PIXELS = 50_000_000
"""Images with more pixels are refused before they are decoded."""


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


class ImageStore:
    """Content-addressed images under an fsspec root, in folders of the hash's first two digits."""

    def __init__(self, root: str) -> None:
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
            kind = (opened.format or "png").lower()
            if max_side is not None:
                thumbnail = opened.convert("RGB")
                thumbnail.thumbnail((max_side, max_side))
                buffer = io.BytesIO()
                thumbnail.save(buffer, "PNG", optimize=True)
                data, kind = buffer.getvalue(), "png"
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
