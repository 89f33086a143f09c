"""What the model is shown of a thread: the conversation, tool calls and outputs included, cut to fit.

Reading goes from the newest item back and stops when the budget is used up, so
a run on a thread of ten thousand messages costs what its context length costs,
not what the thread does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from assistd.db import sql
from assistd.runs import code_outputs, file_search
from assistd.runs.citations import Sources
from assistd.runs.marks import Source
from assistd.runs.wire import Exchange, ToolCalls

SQL = sql.load(__package__)

# Without the upstream's tokenizer the size of a text is a guess, and the guess must not be too low:
# three bytes to a token holds for most languages, and each message costs a few tokens of its own.
_BYTES_PER_TOKEN = 3
_MESSAGE_TOKENS = 4
_PICTURE_TOKENS = 800

# What code has printed may be longer than all that the model can read. Of one step it is told so many tokens at
# most, and never more than a third of what there is room for.
_MOST_CODE_TOKENS = 16_000
_LEAST_CODE_TOKENS = 200

_FIRST_PAGE = 64
_PAGE = 512


class Window(msgspec.Struct, frozen=True):
    """How much of a thread to show: at most `tokens` (a guess), and `last_messages` newest messages if set."""

    tokens: int
    last_messages: int | None = None


class _Text(msgspec.Struct):
    value: str


class _Part(msgspec.Struct):
    type: str
    text: _Text | None = None
    refusal: str | None = None
    image_url: dict[str, Any] | None = None
    image_file: dict[str, Any] | None = None


class _Item(msgspec.Struct):
    """A message, or the tool calls of a step with their outputs."""

    seq: int
    run_id: str | None
    role: str
    payload: msgspec.Raw
    exchange: msgspec.Raw | None = None
    question: bool = False  # the newest message that is not the asking run's own

    @property
    def tokens(self) -> int:
        return estimate(len(bytes(self.payload)) - 60)


_parts = msgspec.json.Decoder(list[_Part])
_calls = msgspec.json.Decoder(ToolCalls)
_exchanges = msgspec.json.Decoder(list[Exchange])


class Conversation(msgspec.Struct, frozen=True):
    """What the model is shown, as Chat Completions messages, and what of it an answer may cite."""

    messages: list[Any]
    sources: Sources


def estimate(size: int) -> int:
    """Guess the tokens of a text of this many bytes, as a message."""
    return max(0, size) // _BYTES_PER_TOKEN + _MESSAGE_TOKENS


async def load(conn: Any, thread_id: str, window: Window, run_id: str | None = None) -> Conversation:
    """Load a thread's conversation, oldest first.

    With `last_messages`, the newest n messages with the tool calls between them; what the run `run_id`, which asks,
    has said itself does not count. Otherwise the thread's first message and as many of the newest as fit: what is
    dropped is dropped from the middle. Two things are always there, whatever their size: the newest item, and the
    newest message that is not the run's own, which is the question.
    """
    items, all_of_it = await _newest(conn, thread_id, window, run_id)
    if window.last_messages is None and not all_of_it:
        items = await _with_first(conn, thread_id, items, window)
    return _conversation(items)


async def _newest(conn: Any, thread_id: str, window: Window, run_id: str | None) -> tuple[list[_Item], bool]:
    """Return the items that fit, oldest first, and whether that is the whole thread."""
    kept: list[_Item] = []
    tokens = messages = 0
    asked = skipped = False
    before, size = 2**63 - 1, _FIRST_PAGE
    while True:
        rows = await conn.fetch(SQL["history"], thread_id, before, size)
        for row in rows:
            item = _within(_Item(*row), window)
            own = run_id is not None and item.run_id == run_id
            item.question = not asked and not own and item.role != "tools"
            messages += not own and item.role != "tools"
            # Calls are shown between messages: those before the oldest one belong to what is dropped.
            reach = messages + (item.role == "tools" and not own)
            beyond = window.last_messages is not None and reach > window.last_messages
            full = tokens + item.tokens > window.tokens and bool(kept)
            if item.question or not (full or beyond):
                kept.append(item)
                tokens += item.tokens
                asked = asked or item.question
            elif asked:
                return kept[::-1], False
            else:
                skipped = True  # a round of the run's own tools goes before the question does
        if len(rows) < size:
            return kept[::-1], not skipped
        before, size = rows[-1]["seq"], _PAGE


def _within(item: _Item, window: Window) -> _Item:
    """Cut what code has printed to what the model may be told of it."""
    room = min(_MOST_CODE_TOKENS, max(_LEAST_CODE_TOKENS, window.tokens // 3)) * _BYTES_PER_TOKEN
    if item.role != "tools" or len(bytes(item.payload)) <= room:
        return item
    calls = _calls.decode(item.payload).tool_calls
    outputs = [
        output for call in calls if call.code_interpreter is not UNSET for output in call.code_interpreter.outputs
    ]
    if not outputs:
        return item
    cut = iter(code_outputs.within(outputs, room))
    for call in calls:
        if (code := call.code_interpreter) is not UNSET:
            call.code_interpreter = msgspec.structs.replace(code, outputs=[next(cut) for _ in code.outputs])
    item.payload = msgspec.Raw(msgspec.json.encode(ToolCalls(calls)))
    return item


async def _with_first(conn: Any, thread_id: str, items: list[_Item], window: Window) -> list[_Item]:
    """Put the thread's first message before the items, at the cost of the oldest of them."""
    row = await conn.fetchrow(SQL["first_message"], thread_id)
    if row is None or row["seq"] >= items[0].seq:
        return items
    first = _Item(*row)
    room = window.tokens - first.tokens
    total = sum(item.tokens for item in items)
    kept = list(items)
    while total > room and len(kept) > 1 and not kept[0].question:
        total -= kept.pop(0).tokens
    return [first, *kept] if total <= room else items


def _conversation(items: Sequence[_Item]) -> Conversation:
    messages: list[Any] = []
    sources: dict[tuple[int, ...], Source] = {}
    spoke: str | None = None  # the run whose words stand last, which its tool calls join
    for item in items:
        if item.role != "tools":
            content = _content(item)
            if content or item.role != "assistant":  # some upstreams refuse an assistant that says nothing
                messages.append({"role": item.role, "content": content})
                spoke = item.run_id if item.role == "assistant" else None
            continue
        calls = _told_calls(item, sources)
        asked = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
        if spoke is not None and spoke == item.run_id:
            messages[-1]["tool_calls"] = asked
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": asked})
        messages += [{"role": "tool", "tool_call_id": call.id, "content": call.output} for call in calls]
        spoke = None
    return Conversation(messages, sources)


class _ToldCall(msgspec.Struct, frozen=True):
    id: str
    name: str
    arguments: str
    output: str


def _told_calls(item: _Item, sources: dict[tuple[int, ...], Source]) -> list[_ToldCall]:
    """Return the calls of a step as the model sees them again; adds what may be cited of them to `sources`."""
    exchanges = {} if item.exchange is None else {e.id: e for e in _exchanges.decode(item.exchange)}
    calls = []
    for call in _calls.decode(item.payload).tool_calls:
        said = exchanges.get(call.id)
        if call.function is not UNSET:
            output = call.function.output or ""
            calls.append(_ToldCall(call.id, call.function.name, call.function.arguments, output))
        elif call.file_search is not UNSET and said is not None:
            sources |= file_search.sources(call.file_search, said)
            calls.append(_ToldCall(call.id, said.name, said.arguments, file_search.told(call.file_search, said)))
        elif call.code_interpreter is not UNSET and said is not None:
            code = call.code_interpreter
            arguments = msgspec.json.encode({"code": code.input}).decode()
            calls.append(_ToldCall(call.id, said.name, arguments, code_outputs.told(code.outputs, said)))
    return calls


def _content(item: _Item) -> Any:
    parts = _parts.decode(item.payload)
    if len(parts) == 1 and parts[0].text is not None:
        return parts[0].text.value
    if item.role == "assistant":  # an assistant's words go back as plain text: not every upstream takes parts there
        # Its pictures were made by code, whose output has told of them.
        words = [p.text.value if p.text else p.refusal or "" for p in parts if p.text or p.refusal]
        return "\n".join(words)
    return [_shown(part) for part in parts]


def _shown(part: _Part) -> dict[str, Any]:
    if part.image_url is not None:
        return {"type": "image_url", "image_url": part.image_url}
    if part.image_file is not None:  # `pictures` puts in what the model can take
        return {"type": "image_file", "image_file": part.image_file}
    return {"type": "text", "text": part.text.value if part.text else part.refusal or ""}
