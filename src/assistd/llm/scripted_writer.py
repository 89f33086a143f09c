"""One answer of the scripted model, written onto the wire."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec
from aiohttp import web

from assistd import ids
from assistd.llm.script import Script
from assistd.llm.scripted_answer import Answer, Token

_CHUNK: Final = "chat.completion.chunk"


class ScriptedWriter:
    """Writes an answer as its script wants it: whole or streamed, at a pace, cut off, or stalled."""

    def __init__(
        self, request: web.Request, body: dict[str, Any], script: Script, answer: Answer, cut: int | None
    ) -> None:
        self._request = request
        self._body = body
        self._script = script
        self._answer = answer
        self._cut = cut
        self._common = {"id": ids.new("chatcmpl-"), "created": int(time.time()), "model": body.get("model")}
        self._call_ids = [ids.new("call_") for _ in answer.calls]
        self._usage = {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": len(answer.tokens),
            "total_tokens": answer.prompt_tokens + len(answer.tokens),
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    async def whole(self) -> web.StreamResponse:
        """Answer without streaming."""
        script, answer = self._script, self._answer
        await asyncio.sleep(script.first + script.between * len(answer.tokens))
        if self._cut is not None:
            self._hang_up()
        if script.stall is not None:
            await forever()  # until the client hangs up or the server ends: both cancel the request
        calls = [
            {"id": id, "type": "function", "function": {"name": call.name, "arguments": _join(answer.tokens, number)}}
            for number, (id, call) in enumerate(zip(self._call_ids, answer.calls, strict=True))
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": _join(answer.tokens) or None,
            "refusal": "".join(token.value for token in answer.tokens if token.refusal) or None,
        }
        if calls:
            message["tool_calls"] = calls
        if answer.thoughts:
            message["reasoning_content"] = answer.thoughts
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        usage = {"usage": self._usage} if script.usage else {}
        return json_response(self._common | {"object": "chat.completion", "choices": [choice]} | usage)

    async def stream(self) -> web.StreamResponse:
        """Answer as server-sent events: one chunk a token, and at the pace that was asked for."""
        script = self._script
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        await asyncio.sleep(script.first)
        pending = [self._chunk({"role": "assistant", "content": None if self._answer.calls else ""})]
        if self._answer.thoughts:
            pending.append(self._chunk({"reasoning_content": self._answer.thoughts}))
        begun = 0
        for number, token in enumerate(self._answer.tokens):
            if number in (self._cut, script.stall):
                break
            if script.between and number:
                await response.write(b"".join(pending))
                pending = []
                await asyncio.sleep(script.between)
            if token.call is not None and token.call == begun:
                pending.append(self._call_start(begun))
                begun += 1
            pending.append(self._chunk(_delta(token)))
        await response.write(b"".join(pending))
        if self._cut is not None:
            self._hang_up()
        if script.stall is not None:
            await forever()
        await response.write(b"".join(self._end()))
        return response

    def _end(self) -> list[bytes]:
        chunks = [self._chunk({}, self._answer.finish_reason)]
        if self._script.usage and (self._body.get("stream_options") or {}).get("include_usage"):
            chunks.append(_event(self._common | {"object": _CHUNK, "choices": [], "usage": self._usage}))
        return [*chunks, b"data: [DONE]\n\n"]

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(self._common | {"object": _CHUNK, "choices": [choice]})

    def _call_start(self, number: int) -> bytes:
        function = {"name": self._answer.calls[number].name, "arguments": ""}
        call = {"index": number, "id": self._call_ids[number], "type": "function", "function": function}
        return self._chunk({"tool_calls": [call]})

    def _hang_up(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()
        raise ConnectionResetError("The script drops the connection here.")


def _delta(token: Token) -> dict[str, Any]:
    if token.call is not None:
        return {"tool_calls": [{"index": token.call, "function": {"arguments": token.value}}]}
    return {"refusal" if token.refusal else "content": token.value}


def _join(tokens: tuple[Token, ...], call: int | None = None) -> str:
    return "".join(token.value for token in tokens if token.call == call and not token.refusal)


def _event(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers=headers, content_type="application/json"
    )


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()
