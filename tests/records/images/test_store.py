import hashlib
import io

import pytest
from PIL import Image

from records.images import store as images
from records.tables import from_frame, to_frame


def png(color="red", size=(20, 10)):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def test_bytes_come_back_as_they_came_in_and_are_stored_once(tmp_path):
    store = images.ImageStore(str(tmp_path))
    first, again, other = store.put(png()), store.put(png()), store.put(png("blue"))
    assert first == again == hashlib.sha256(png()).hexdigest() != other
    assert store.get(first) == png()
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 2


def test_a_thumbnail_is_small_and_still_a_picture(tmp_path):
    store = images.ImageStore(str(tmp_path))
    uri = store.data_uri(store.put(png(size=(800, 600))), max_side=64)
    assert uri.startswith("data:image/png;base64,") and len(uri) < 2000


def test_what_is_no_image_is_refused_with_a_reason(monkeypatch):
    assert images.check_image(png()) == (20, 10)
    for data in (b"", b"<svg/>", png()[:-30]):
        with pytest.raises(images.ImageError) as error:
            images.check_image(data)
        assert error.value.reason == "image_unreadable"
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(images.ImageError) as error:
        images.check_image(png())
    assert error.value.reason == "image_too_large"


def test_what_is_known_of_images_is_a_table():
    facts = images.ImageFacts(
        image="a", arrived="b", width=2, height=3, format="png", changes=["exif_rotated"], phash=-(2**63),
        inner_phash=2**63 - 1, thumbnail=bytes(range(256)) * 3,
    )  # fmt: skip
    assert from_frame(to_frame([facts], images.ImageFacts), images.ImageFacts) == [facts]
