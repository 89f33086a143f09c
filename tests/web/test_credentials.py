"""The key of a request, however it is brought."""

from __future__ import annotations

import base64

import pytest

from assistd.web.credentials import is_kept_by_browser, key_of


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer sk-1", "bearer   sk-1  "),
        *(basic(":sk-1"), basic("sk-1:"), basic("sk-1"), basic("anybody:sk-1"), basic(":sk-1").replace("B", "b", 1)),
    ],
)
def test_a_key_is_found(header: str) -> None:
    assert key_of({"authorization": header}) == "sk-1"
    assert is_kept_by_browser({"authorization": header}) == header.lower().startswith("basic")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer  ", "Basic", "Basic ", "Basic %%%", "Basic /w==", basic(""), basic(":"), "Token a"]
)
def test_no_key_is_found(header: str) -> None:
    assert key_of({"authorization": header}) is None
    assert key_of({}) is None


def test_a_password_may_have_colons() -> None:
    assert key_of({"authorization": basic(":a:b")}) == "a:b"
