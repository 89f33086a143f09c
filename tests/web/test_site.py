"""The page's files, and nothing else of the machine's; and what a browser is told about them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from assistd.playground.site import Site

INDEX = b'<!doctype html><meta property="csp-nonce" nonce="{{nonce}}"><script src="/assets/index-DJ_k3b-9.js"></script>'
SCRIPT = b"console.log(1);" * 100
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[..., Awaitable[Answer]]


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the page: it says that it was asked."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"x-elsewhere", b"yes")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built page, and a secret beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_bytes(INDEX)
    (dist / "favicon.svg").write_bytes(b"<svg/>")
    (dist / "assets" / "index-DJ_k3b-9.js").write_bytes(SCRIPT)
    (dist / "assets" / "KaTeX_Main-Regular-B22Nviop.woff2").write_bytes(b"wOF2" * 100)
    (dist / ".hidden").write_text("hidden")
    return dist


@pytest.fixture
def ask(folder: Path) -> Ask:
    site = Site(elsewhere, folder)

    async def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(dict(message))

        encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await site({"type": "http", "method": method, "path": path, "headers": encoded}, receive, send)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], told, b"".join(message["body"] for message in sent[1:]))

    return ask


@pytest.mark.parametrize("path", ["/", "/index.html"])
async def test_the_page_is_asked_for_anew_each_time(ask: Ask, path: str) -> None:
    page = await ask(path)
    assert (page.status, page.body) == (200, INDEX)
    assert (page.headers["content-type"], page.headers["cache-control"]) == ("text/html; charset=utf-8", "no-cache")
    assert int(page.headers["content-length"]) == len(INDEX)


async def test_files_with_a_hash_in_their_name_never_change(ask: Ask) -> None:
    script = await ask("/assets/index-DJ_k3b-9.js")
    assert (script.status, script.body) == (200, SCRIPT)
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    font = await ask("/assets/KaTeX_Main-Regular-B22Nviop.woff2", accept_encoding="gzip")
    assert (font.headers["content-type"], font.headers.get("content-encoding")) == ("font/woff2", None)
    icon = await ask("/favicon.svg")
    assert (icon.headers["content-type"], icon.headers["cache-control"]) == ("image/svg+xml", "no-cache")


async def test_every_answer_is_guarded(ask: Ask) -> None:
    for path in ("/", "/favicon.svg", "/assets/index-DJ_k3b-9.js"):
        headers = (await ask(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"] == POLICY
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("packed", "accepted"),
    [
        *((True, accepted) for accepted in ("gzip, deflate, br", "GZIP", "*", "br;q=1.0, gzip;q=0.5")),
        *((False, accepted) for accepted in ("", "br", "gzip;q=0", "gzip; q=0.0", "xgzip")),
    ],
)
async def test_texts_are_packed_for_those_who_take_it(ask: Ask, packed: bool, accepted: str) -> None:
    script = await ask("/assets/index-DJ_k3b-9.js", accept_encoding=accepted)
    assert script.headers["vary"] == "accept-encoding"
    assert (script.headers.get("content-encoding") == "gzip") is packed
    assert int(script.headers["content-length"]) == len(script.body)
    assert (gzip.decompress(script.body) if packed else script.body) == SCRIPT


async def test_what_a_browser_has_is_not_sent_again(ask: Ask) -> None:
    tag = (await ask("/favicon.svg")).headers["etag"]
    assert tag.startswith('W/"')  # it stands for the packed content, too
    for known in (tag, f'W/"x", {tag}', tag.removeprefix("W/")):
        again = await ask("/favicon.svg", if_none_match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (await ask("/favicon.svg", if_none_match='"other"')).status == 200


async def test_head_tells_what_get_would(ask: Ask) -> None:
    for path in ("/favicon.svg", "/assets/index-DJ_k3b-9.js"):
        head, whole = await ask(path, "HEAD"), await ask(path)
        assert (head.status, head.headers, head.body) == (200, whole.headers, b"")
    assert (await ask("/", "HEAD")).body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_a_page_can_only_be_read(ask: Ask, method: str) -> None:
    for path in ("/", "/favicon.svg"):
        answer = await ask(path, method)
        assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET, HEAD", b"")


OUTSIDE = (
    *("/../secret.txt", "/assets/../../secret.txt", "/..\\secret.txt", "/assets\\..\\..\\secret.txt", "//secret.txt"),
    *("/%2e%2e/secret.txt", "/C:/secret.txt", "/./index.html", "/..", "/.", "/assets/..", "/.hidden"),
    *("/assets", "/assets/", "/nothing.js", "/index.html/", "/index.html/x", "*", "index.html", "/v1/index.html", "/é"),
)


@pytest.mark.parametrize("path", [*OUTSIDE, "", "/\0", "/favicon.svg\0", "/favicon.svg\n", "/" + "x" * 5000])
async def test_nothing_but_the_pages_files_is_served(ask: Ask, folder: Path, path: str) -> None:
    (folder / "v1").mkdir()
    (folder / "v1" / "index.html").write_bytes(INDEX)
    for given in (path, path.replace("secret.txt", str(folder.parent / "secret.txt"))):
        assert (await ask(given)).headers == {"x-elsewhere": "yes"}


async def test_a_new_build_is_seen_without_a_restart(ask: Ask, folder: Path) -> None:
    assert (await ask("/favicon.svg")).body == b"<svg/>"
    (folder / "favicon.svg").write_bytes(b"<svg />")
    assert (await ask("/favicon.svg")).body == b"<svg />"
    (folder / "favicon.svg").unlink()
    assert (await ask("/favicon.svg")).status == 404


async def test_without_a_build_it_says_how_to_get_one(ask: Ask, folder: Path) -> None:
    (folder / "index.html").unlink()
    page = await ask("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<code>make serve</code>" in page.body
    assert len(page.body) < 1000
    assert page.headers["content-security-policy"] == POLICY
    assert (await ask("/", "POST")).status == 405
    shutil.rmtree(folder)
    assert (await ask("/")).body == page.body
    assert (await ask("/favicon.svg")).headers == {"x-elsewhere": "yes"}
