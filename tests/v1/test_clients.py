"""What a client of v1 is sent depends on when its SDK was published."""

from __future__ import annotations

import pytest

from assistd.v1.clients import LONG, SHORT, Client, client_of

EVERYTHING = Client(longest_text=LONG)


def sdk(language: str, version: str) -> dict[str, str]:
    return {"x-stainless-lang": language, "x-stainless-package-version": version}


@pytest.mark.parametrize(
    ("python", "node", "known"),
    [
        ("1.2.3", "4.20.1", set()),
        ("1.8.0", "4.24.7", set()),
        ("1.9.0", "4.25.0", {"usage"}),
        ("1.13.4", "4.28.5", {"usage"}),
        ("1.14.0", "4.29.0", {"usage", "message_status"}),
        ("1.16.0", "4.31.0", {"usage", "message_status", "temperature"}),
        ("1.17.1", "4.33.1", {"usage", "message_status", "temperature"}),
        ("1.18.0", "4.34.0", {"usage", "message_status", "temperature", "limits"}),
        ("1.20.0", "4.36.0", {"usage", "message_status", "temperature", "limits"}),
        ("1.100.1", "4.104.0", {"usage", "message_status", "temperature", "limits"}),
        ("2.0.0-beta.1", "5.0.0-alpha.0", {"usage", "message_status", "temperature", "limits"}),
    ],
)
def test_an_sdk_is_sent_what_its_types_know(python: str, node: str, known: set[str]) -> None:
    for headers in (sdk("python", python), sdk("js", node)):
        client = client_of(headers)
        assert {name for name in ("usage", "message_status", "temperature", "limits") if getattr(client, name)} == known
        assert client.longest_text == (LONG if "limits" in known else SHORT)


@pytest.mark.parametrize(
    "headers", [{}, sdk("go", "1.0.0"), sdk("python", "unknown"), sdk("python", ""), {"x-stainless-lang": "python"}]
)
def test_who_does_not_say_is_sent_all_and_may_write_as_much_as_in_2023(headers: dict[str, str]) -> None:
    assert client_of(headers) == Client()
    assert Client() == Client(True, True, True, True, SHORT)
