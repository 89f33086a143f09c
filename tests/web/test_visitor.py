"""Which requests come from this machine: by the name they went by, and by the page that sent them."""

from __future__ import annotations

import pytest

from assistd.web.visitor import Proxies, other_page, stranger

OWN = [
    {},
    {"host": ""},
    {"host": "localhost"},
    {"host": "localhost:8000"},
    {"host": "LocalHost.:8000"},
    {"host": "app.localhost:8000"},
    {"host": "127.0.0.1:8000"},
    {"host": "127.9.9.9"},
    {"host": "[::1]:8000"},
    {"host": "host.docker.internal:8000"},
    {"host": "192.168.1.2:8000"},  # through a forwarded port; nobody can give a name of theirs to it
    {"origin": "http://localhost:5173"},
    {"host": "localhost:8000", "origin": "http://localhost:8000"},
    {"host": "localhost:8000", "origin": "http://127.0.0.1:3000"},
    {"host": "[::1]:8000", "origin": "https://[::1]:3000"},
    {"host": "192.168.1.2:8000", "origin": "http://192.168.1.2:8000"},
]
FOREIGN = [
    ({"host": "evil.example"}, "evil.example"),
    ({"host": "evil.example:8000", "origin": "http://evil.example:8000"}, "evil.example:8000"),
    ({"host": "localhost:8000", "origin": "https://evil.example"}, "https://evil.example"),
    ({"host": "localhost:8000", "origin": "http://192.168.1.3"}, "http://192.168.1.3"),
    ({"host": "localhost:8000", "origin": "null"}, "null"),
    ({"host": "localhost:8000", "origin": ""}, ""),
    ({"host": "localhost:8000", "origin": "file://"}, "file://"),
    ({"host": "localhost:8000", "origin": "chrome-extension://localhost"}, "chrome-extension://localhost"),
    ({"host": "localhost:8000", "origin": "http://"}, "http://"),
    ({"host": "", "origin": "https://evil.example"}, "https://evil.example"),
    ({"host": "", "origin": "http://"}, "http://"),
    ({"host": "localhost.evil.example"}, "localhost.evil.example"),
    ({"host": "127.0.0.1.evil.example"}, "127.0.0.1.evil.example"),
    ({"host": "evillocalhost"}, "evillocalhost"),
    ({"host": "localhost@evil.example"}, "localhost@evil.example"),
    ({"host": "evil.example/@localhost"}, "evil.example/@localhost"),
    ({"host": "evil.example#@localhost"}, "evil.example#@localhost"),
    ({"host": "[::1"}, "[::1"),
    ({"host": "mybox:8000"}, "mybox:8000"),
]


@pytest.mark.parametrize("headers", OWN)
def test_programs_and_pages_of_this_machine_are_no_strangers(headers: dict[str, str]) -> None:
    assert stranger(headers) is None


@pytest.mark.parametrize(("headers", "name"), FOREIGN)
def test_whoever_goes_by_another_name_is(headers: dict[str, str], name: str) -> None:
    assert stranger(headers) == name


# --- through proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # says one that is no proxy of ours
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the first is what the client said
        ("10.0.0.1", "203.0.113.9, 198.51.100.7,10.2.0.5", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_address_of_a_client(peer: str, forwarded: str | None, client: str) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert Proxies(["10.0.0.0/8", "::1"]).client_of(peer, headers) == client
    assert Proxies().client_of(peer, headers) == peer


def test_pages_of_elsewhere() -> None:
    assert other_page({"host": "a.example:8000"}) is None
    assert other_page({"host": "a.example:8000", "origin": "https://a.example:8000"}) is None
    for origin in ("https://a.example", "https://b.example:8000", "null"):
        assert other_page({"host": "a.example:8000", "origin": origin}) == origin
