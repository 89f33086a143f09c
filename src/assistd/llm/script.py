"""The language in which a user message tells the scripted model what to do.

A line that begins with one of these words is a direction; all other lines are
the message itself. Without directions the model echoes the message.

    /say TEXT              answer exactly this. A JSON string ("...") may hold line breaks
    /tokens N              answer N words: w0 w1 w2 ...
    /pace FIRST BETWEEN    wait so many milliseconds before the first token and between tokens
    /call NAME {...}       call a function with these arguments; several lines are parallel calls
    /code TEXT             call code_interpreter with this code. A JSON string ("...") may hold line breaks
    /next                  the calls behind this line are made in the next round, when the results of this one have come
    /preamble TEXT         say this before the calls, in the same completion
    /rounds N              make the calls until N rounds of results have come (default 1)
    /fail STATUS xK retry-after=S code=C TEXT
                           answer the first K requests with this HTTP error (all, without xK)
    /cut N xK              drop the connection after N tokens, the first K times (always, without xK)
    /stall N               say nothing more after N tokens, and keep the connection open
    /refusal TEXT          refuse in the `refusal` field instead of answering
    /think TEXT            send this as reasoning before the answer
    /no-usage              send no token counts
    /report                answer with the JSON text of the request that the model received
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

_DIRECTION: Final = re.compile(r"/([a-z-]+)(?:[ \t]+(.*))?\Z")
_OPTION: Final = re.compile(r"(?:x(?P<times>\d+)|(?P<name>retry-after|code)=(?P<value>\S+))(?:\s+|\Z)")


class ScriptError(ValueError):
    """A direction that cannot be followed; the message says what it needs."""


@dataclass(frozen=True)
class Call:
    """A function to call. `arguments` is JSON text; `round` counts the lines /next before it."""

    name: str
    arguments: str
    round: int = 0


@dataclass(frozen=True)
class Failure:
    """An HTTP error to answer with, the first `times` times (None: always)."""

    status: int
    times: int | None = None
    retry_after: str = ""
    code: str = ""
    words: str = ""


@dataclass(frozen=True)
class Cut:
    """A connection to drop after so many tokens, the first `times` times (None: always)."""

    after: int
    times: int | None = None


@dataclass(frozen=True)
class Script:
    """What one user message asks for. `message` is what is left of it; times are in seconds."""

    message: str = ""
    say: str | None = None
    tokens: int | None = None
    first: float = 0.0
    between: float = 0.0
    calls: tuple[Call, ...] = ()
    preamble: str = ""
    rounds: int = 1
    nexts: int = 0
    fail: Failure | None = None
    cut: Cut | None = None
    stall: int | None = None
    refusal: str = ""
    think: str = ""
    usage: bool = True
    report: bool = False


def read_script(text: str) -> Script:
    """Read the directions in a user message. Raises ScriptError."""
    script, message = Script(), []
    for line in text.split("\n"):
        direction = _DIRECTION.match(line.rstrip())
        follow = _DIRECTIONS.get(direction.group(1)) if direction else None
        if direction is None or follow is None:
            message.append(line)
            continue
        try:
            script = follow(script, (direction.group(2) or "").strip())
        except ValueError as fault:
            raise ScriptError(f"/{direction.group(1)} cannot be followed: {fault}") from fault
    return replace(script, message="\n".join(message).strip())


def _say(script: Script, rest: str) -> Script:
    return replace(script, say=_text(rest))


def _tokens(script: Script, rest: str) -> Script:
    return replace(script, tokens=_whole(rest))


def _pace(script: Script, rest: str) -> Script:
    first, _, between = rest.partition(" ")
    return replace(script, first=float(first) / 1000, between=float(between or 0) / 1000)


def _call(script: Script, rest: str) -> Script:
    name, _, arguments = rest.partition(" ")
    if not name:
        raise ValueError("it needs the name of a function.")
    arguments = arguments.strip() or "{}"
    json.loads(arguments)
    return _with_call(script, name, arguments)


def _code(script: Script, rest: str) -> Script:
    return _with_call(script, "code_interpreter", json.dumps({"code": _text(rest)}, ensure_ascii=False))


def _with_call(script: Script, name: str, arguments: str) -> Script:
    return replace(script, calls=(*script.calls, Call(name, arguments, script.nexts)))


def _next(script: Script, rest: str) -> Script:
    return replace(script, nexts=script.nexts + 1)


def _preamble(script: Script, rest: str) -> Script:
    return replace(script, preamble=_text(rest))


def _rounds(script: Script, rest: str) -> Script:
    return replace(script, rounds=_whole(rest))


def _fail(script: Script, rest: str) -> Script:
    status, _, rest = rest.partition(" ")
    if not 400 <= _whole(status) <= 599:
        raise ValueError("it needs an HTTP status from 400 to 599.")
    options, words = _options(rest)
    failure = Failure(int(status), options.get("times"), options.get("retry-after", ""), options.get("code", ""), words)
    return replace(script, fail=failure)


def _cut(script: Script, rest: str) -> Script:
    after, _, rest = rest.partition(" ")
    return replace(script, cut=Cut(_whole(after), _options(rest)[0].get("times")))


def _stall(script: Script, rest: str) -> Script:
    return replace(script, stall=_whole(rest))


def _refusal(script: Script, rest: str) -> Script:
    return replace(script, refusal=_text(rest))


def _think(script: Script, rest: str) -> Script:
    return replace(script, think=_text(rest))


def _no_usage(script: Script, rest: str) -> Script:
    return replace(script, usage=False)


def _report(script: Script, rest: str) -> Script:
    return replace(script, report=True)


_DIRECTIONS: Final[dict[str, Callable[[Script, str], Script]]] = {
    "say": _say,
    "tokens": _tokens,
    "pace": _pace,
    "call": _call,
    "code": _code,
    "next": _next,
    "preamble": _preamble,
    "rounds": _rounds,
    "fail": _fail,
    "cut": _cut,
    "stall": _stall,
    "refusal": _refusal,
    "think": _think,
    "no-usage": _no_usage,
    "report": _report,
}
WORDS: Final = tuple(_DIRECTIONS)


def _text(rest: str) -> str:
    if rest.startswith('"') and rest.endswith('"') and len(rest) > 1:
        return str(json.loads(rest))
    return rest


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


def _options(rest: str) -> tuple[dict[str, Any], str]:
    """Read `xK`, `retry-after=S` and `code=C` off the front; return them and the words that follow."""
    found: dict[str, Any] = {}
    rest = rest.strip()
    while option := _OPTION.match(rest):
        if option["times"] is not None:
            found["times"] = int(option["times"])
        else:
            found[option["name"]] = option["value"]
        rest = rest[option.end() :]
    return found, rest
