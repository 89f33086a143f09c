"""Public documentation to search in: questions that people wrote with the answers they got, and manuals around them.

Three Debian packages carry frequently asked questions in which the question is a heading and the answer stands below
it: `perl-doc` (perlfaq1 to perlfaq9), `python3.11-doc` (faq/*) and `debian-faq`. Every heading of a FAQ that ends with
a question mark is a question, none is left out or reworded; what stands below it, without the heading, is the text to
be found. The other manuals of the first two packages are what it has to be found among.

The packages are fetched with `apt-get download` and unpacked into a folder of the caller's; nothing is installed.
"""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("perl-doc", "python3.11-doc", "debian-faq")

_SHORTEST_ANSWER = 80  # characters; below it, an answer only points elsewhere


@dataclass(frozen=True)
class Answered:
    """A question of a FAQ and the text below it."""

    question: str
    answer: str


@dataclass(frozen=True)
class Manual:
    """A page of documentation that is no FAQ."""

    name: str
    text: str


def unpack(folder: Path) -> None:
    """Fetch what is not in the folder yet. Raises CalledProcessError where apt cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not (folder / package).is_dir():
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
            [archive] = folder.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder / package], check=True)


def answered(folder: Path) -> list[Answered]:
    """The questions of the three FAQs, in the order of files and headings; a question asked twice counts once."""
    found: dict[str, Answered] = {}
    for path in sorted((folder / "perl-doc").rglob("perlfaq[1-9].pod")):
        _gather(found, _pod_sections(_read(path)))
    for path in sorted((folder / "python3.11-doc").glob("**/_sources/faq/*.rst.txt")):
        _gather(found, _rst_sections(_read(path)))
    for path in sorted((folder / "debian-faq").rglob("*.en.html")):
        if path.name != "index.en.html":
            _gather(found, _html_sections(_read(path)))
    return list(found.values())


def manuals(folder: Path) -> Iterator[Manual]:
    """The pages of the packages that hold no questions, by file name."""
    for path in sorted((folder / "perl-doc").rglob("*.pod")):
        if not path.name.startswith("perlfaq"):
            yield Manual(path.name, _plain_pod(_read(path)))
    sources = next((folder / "python3.11-doc").rglob("_sources"))
    for path in sorted(sources.rglob("*.rst.txt")):
        if path.parent.name != "faq":
            yield Manual(str(path.relative_to(sources)).removesuffix(".txt"), _plain_rst(_read(path)))


def _gather(found: dict[str, Answered], sections: Iterator[tuple[str, str]]) -> None:
    for heading, body in sections:
        question, answer = " ".join(heading.split()), body.strip()
        if question.endswith("?") and len(answer) >= _SHORTEST_ANSWER:
            found.setdefault(question, Answered(question, answer))


def _pod_sections(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"^=head[12] (.*)$", text, flags=re.M)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        yield _plain_pod(heading), _plain_pod(body)


def _rst_sections(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"^(\S.*)\n([-=~^\"'*])\2{3,}$", text, flags=re.M)
    for heading, body in zip(parts[1::3], parts[3::3], strict=True):
        yield _plain_rst(heading), _plain_rst(body)


def _html_sections(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"<h[23] class=\"title\"[^>]*>(.*?)</h[23]>", text, flags=re.S)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        numbered = _plain_html(heading).strip()
        yield re.sub(r"^[\d.]+\s+", "", numbered), _plain_html(body.split('<div class="navfooter">')[0])


def _plain_pod(text: str) -> str:
    text = re.sub(r"^X<.*>$", "", text, flags=re.M)
    text = re.sub(r"[XZ]<[^<>]*>", "", text)
    text = re.sub(r"L<([^<>|]*)\|[^<>]*>", r"\1", text)
    for _ in range(3):  # codes within codes
        text = re.sub(r"\b[A-Z]<<+ (.*?) >>+|\b[A-Z]<([^<>]*)>", lambda m: m[1] or m[2] or "", text)
    return re.sub(r"^=\w+ ?", "", text, flags=re.M)


def _plain_rst(text: str) -> str:
    text = re.sub(r"^\.\. (?:index|contents|sectionauthor|_).*$", "", text, flags=re.M)
    return re.sub(r":[\w:]+:`~?([^`<]*?)(?: <[^`]*>)?`", r"\1", text)


def _plain_html(text: str) -> str:
    return re.sub(r"\n\s*\n+", "\n\n", html.unescape(re.sub(r"<[^>]+>", "", text)))


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace")
