"""The texts of the original that sent people to its own pages: the beginning is as recorded, the end helps here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import assistd
from assistd import errors
from assistd.vector_stores import documents

# As the original sent them, up to where the sentence turned to its help centre, key page or documentation.
RECORDED = {
    "missing key": (
        errors.no_api_key(),
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing "
        "the API from your browser and are prompted for a username and password. You can obtain an API key from ",
        "`assistd keys create NAME`",
    ),
    "wrong key": (
        errors.wrong_api_key("sk-1234567890abcdef"),
        "Incorrect API key provided: sk-12345*******cdef. You can find your API key ",
        "`assistd keys create NAME`",
    ),
    "fault of the server": (
        errors.internal("req_1"),
        "The server had an error processing your request. Sorry about that! You can retry your request, or contact ",
        "if you keep seeing this error. (Please include the request ID req_1",
    ),
    "unsupported files": (
        documents.unsupported(["a.csv.zip"]),
        "Files with extensions [.zip] are not supported for retrieval. See ",
        ".pdf",
    ),
}


@pytest.mark.parametrize("case", RECORDED)
def test_texts_begin_as_recorded_and_end_with_what_helps_here(case: str) -> None:
    error, beginning, help = RECORDED[case]
    assert error.message.startswith(beginning)
    assert help in error.message.removeprefix(beginning)


def test_no_text_sends_people_to_the_original_s_pages() -> None:
    modules = list(Path(assistd.__file__).parent.rglob("*.py"))
    assert Path(errors.__file__) in modules
    sending = [str(module) for module in modules if re.search("(help|platform)[.]openai[.]com", module.read_text())]
    assert sending == []
