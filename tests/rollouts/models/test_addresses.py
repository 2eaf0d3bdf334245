"""A url and a key are taken as they were meant, refused where they cannot be, and never repeated in an error."""

import pytest

from rollouts.models.addresses import AddressError, read_address
from rollouts.models.redaction import redacted

URL, KEY = "http://127.0.0.1:8000/v1", "sk-live/Zq7+secretkey0042"


@pytest.mark.parametrize("form", [KEY, f"{KEY}\n", f"  {KEY} ", f"Bearer {KEY}", f"bearer  {KEY}", f'"{KEY}"'])
def test_a_key_is_sent_without_what_came_with_it_and_is_known_as_a_secret(form):
    assert read_address(URL, form).authorization == f"Bearer {KEY}"
    assert KEY not in redacted(f"refused: {KEY}")


@pytest.mark.parametrize("form", ["", " ", f"{KEY}\n{KEY}", f"{KEY}é", f"{KEY} {KEY}"])
def test_a_key_that_cannot_be_one_is_refused_without_being_repeated(form):
    with pytest.raises(AddressError, match="the key is empty or holds") as refused:
        read_address(URL, form)
    assert "secretkey" not in str(refused.value)
