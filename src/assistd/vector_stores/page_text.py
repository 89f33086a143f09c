"""The text of an HTML page: what a reader sees, line by line."""

from __future__ import annotations

import re
from html import unescape

# In one pass: a comment, a declaration, a tag. Nothing in it looks further back or tries again, so that no page,
# however broken, takes longer than its length.
_TAG = re.compile(
    r"""<(?:
        (?P<comment>!--)
      | (?P<declaration>[!?])
      | (?P<end>/?)(?P<name>[a-zA-Z][^\s/><]*+)(?:[^<>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?)*+>?
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\n\f]+")
_LINES = re.compile(r"[ \t]*\n[ \t\n]*\n[ \t]*")
# Elements whose content is not shown, and where each ends.
_HIDDEN = {
    name: re.compile(rf"</{name}\b[^>]*+>?", re.IGNORECASE) for name in ("script", "style", "template", "iframe", "svg")
}
_RAW = frozenset(["script", "style"])  # up to the page's end where nothing ends them
_HEADINGS = "h1 h2 h3 h4 h5 h6"
_PARAGRAPHS = frozenset(
    f"{_HEADINGS} address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form head header hr html legend main menu nav ol p pre section summary table title ul".split()
)
_LINE_ENDS = frozenset(["br", "li", "option", "tr"])
_CELLS = frozenset(["td", "th"])
_STARTS = ("\n", "\t")


def text_of(page: str) -> str:
    """What a browser would show of `page`, with its title; blocks are paragraphs, cells are parted by tabs.

    Takes time in proportion to the page's length. Broken pages lose no text.
    """
    pieces = ["\n"]
    hidden = dict(_HIDDEN)
    position, preformatted = 0, False
    while (found := _TAG.search(page, position)) is not None:
        _add(pieces, page[position : found.start()], preformatted)
        position = found.end()
        if found["comment"]:
            position = _after(page, "-->", position)
        elif found["declaration"]:
            position = _after(page, ">", position)
        else:
            name, opens = found["name"].lower(), not found["end"]
            if opens and name in hidden and not page.endswith("/>", 0, position):
                end = hidden[name].search(page, position)
                if end is not None:
                    position = end.end()
                elif name in _RAW:
                    position = len(page)
                else:
                    del hidden[name]  # not to be looked for again and again
            elif name == "pre":
                preformatted = opens
            if between := _break(name, opens, at_start=pieces[-1].endswith(_STARTS)):
                pieces.append(between)
    _add(pieces, page[position:], preformatted)
    return _LINES.sub("\n\n", "".join(pieces)).strip()


def _add(pieces: list[str], raw: str, preformatted: bool) -> None:
    text = unescape(raw) if "&" in raw else raw
    if not preformatted:
        text = _BLANK.sub(" ", text)
        if pieces[-1].endswith(_STARTS):
            text = text.lstrip(" ")  # how the page was written, not what it shows
    if text:
        pieces.append(text)


def _break(name: str, opens: bool, *, at_start: bool) -> str:
    """What a tag means for the text before the next."""
    if name in _PARAGRAPHS:
        return "\n\n"
    if name == "br" or (name in _LINE_ENDS and opens):
        return "\n"
    return "\t" if name in _CELLS and opens and not at_start else ""


def _after(page: str, end: str, position: int) -> int:
    """Where `end` ends; the page's end where it does not come, as in a browser."""
    found = page.find(end, position)
    return found + len(end) if found >= 0 else len(page)
