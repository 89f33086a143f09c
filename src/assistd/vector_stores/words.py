"""Words as full text search sees them: what is indexed of a passage, and what is kept of a question.

PostgreSQL's own parser keeps `os.path`, addresses and file names whole, so that a question for `path` would miss them,
and takes a run of Chinese for one word. So a text is cut into words here, and PostgreSQL folds their case and cuts
English endings, which does other languages little harm. Languages written without spaces come as overlapping pairs
of characters.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
# Written without spaces between words: Thai, Lao, Burmese, Khmer; kana; Han. Hangul has spaces, but endings too.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_MARKS = re.compile(f"[^{_UNSPACED}\\w]|_")
_MOST_CHARACTERS = 200_000  # a tsvector holds 1 MB

# What a question is put in, and not what it is about.
_COURTESY = re.compile(
    r"\b(?:please|kindly|thanks?(?: you)?(?: very much| so much| a lot)?(?: in advance)?|hello|hi|hey|dear|excuse me"
    r"|(?:can|could|would|will) (?:you|u|someone|anyone|anybody|somebody)(?: please)?(?: (?:tell|show|help|explain to"
    r"|give|find|let)(?: me| us)?(?: know)?)?|(?:tell|show|explain to|give|help|remind) (?:me|us)"
    r"|i(?: would like|'d like| want| need| am trying|'m trying| am looking|'m looking| wonder| (?:was|am) wondering)"
    r"(?: to (?:know|learn|find(?: out)?|see|understand))?|do you (?:know|have)|is there (?:any|a) way(?: to)?"
    r"|what(?:'s| is| are) the (?:best|easiest|right|proper|correct) way to)\b"
)
_QUESTION = frozenset(
    _WORD.findall(
        "a about am an and any are as at be been being by can could did do does doing for from had has have having he "
        "her his how i if in into is it its may me might must my of on or our ours shall she should so some that the "
        "their them there these they this those to u us was we were what when where which who whom whose why will with "
        "would you your yours"
    )
)


def searchable(text: str) -> str:
    """Return the words of a text with spaces between them, for PostgreSQL's `to_tsvector('english', ...)`."""
    text = unicodedata.normalize("NFKC", text[:_MOST_CHARACTERS])
    if _RUN.search(text):
        text = _RUN.sub(_pairs, text)
        return " ".join(_MARKS.sub(" ", text).split())
    return " ".join(_WORD.findall(text))


def rewrite(query: str) -> str:
    """Return what a question is about: without courtesies, question words and other words of grammar.

    "Could you please tell me how I can cancel my order?" becomes "cancel order". The same query always gives the same
    answer; one that has nothing else, or is not English, comes back as it is.
    """
    bare = _COURTESY.sub(" ", query.lower().replace("\u2019", "'"))
    kept = {word for part in bare.split() if (word := part.strip(".,;:!?\"'()")) and word not in _QUESTION}
    words = [part.strip(',;:!?"()').rstrip(".") for part in query.replace("\u2019", "'").split()]
    rest = [word for word in words if word.lower().strip(".'") in kept]
    return " ".join(rest) or query.strip()


def _pairs(run: re.Match[str]) -> str:
    characters = run[0]
    if len(characters) == 1:
        return f" {characters} "
    return " " + " ".join(characters[at : at + 2] for at in range(len(characters) - 1)) + " "
