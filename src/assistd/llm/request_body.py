"""The body of a Chat Completions request, made to fit what the route's server can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from assistd.llm.plain_history import Message, decoded, plain
from assistd.llm.protocol import ChatRequest
from assistd.llm.routing import Route

IMAGE_NOTE = "[image]"


def request_body(route: Route, request: ChatRequest) -> bytes:
    """Encode a request for `POST {base_url}/chat/completions`, streamed. What is None is left out; 0 is sent."""
    response_format, note = _response_format(route, request.response_format)
    body: dict[str, Any] = {
        "model": route.upstream_name(request.model),
        "messages": _messages(route, request.messages, note),
        "stream": True,
        "response_format": response_format,
        "temperature": request.temperature,
        "top_p": request.top_p,
        route.max_tokens_field: request.max_completion_tokens,
    }
    if route.usage:
        body["stream_options"] = {"include_usage": True}
    if route.reasoning_effort:
        body["reasoning_effort"] = request.reasoning_effort
    if request.tools and route.tools == "native":
        # Servers refuse these two without tools.
        body["tools"] = request.tools
        body["tool_choice"] = request.tool_choice
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _response_format(route: Route, response_format: Any) -> tuple[Any, str]:
    """The format to send, and what to say in words where the server cannot be made to keep to a schema."""
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind not in ("json_object", "json_schema"):
        return None, ""  # text is what every server answers with unless told otherwise
    if kind == "json_schema" and not route.json_schema:
        schema = msgspec.json.encode(response_format.get("json_schema", {}).get("schema", {})).decode()
        return {"type": "json_object"}, f"Answer with one JSON object that fits this JSON schema:\n{schema}"
    return response_format, ""


def _messages(route: Route, messages: Sequence[Any], note: str) -> Any:
    encoded = msgspec.json.encode(messages)
    tools_told = route.tools != "native" and (b'"tool_calls"' in encoded or b'"tool"' in encoded)
    images_told = not route.images and (b'"image_url"' in encoded or b'"image_file"' in encoded)
    if not (tools_told or images_told or note):
        return msgspec.Raw(encoded)  # the usual case costs one encoding and nothing else
    told = decoded(messages)
    if tools_told:
        told = plain(told)
    if images_told:
        told = [_without_images(message) for message in told]
    return with_system_note(told, note) if note else told


def with_system_note(messages: list[Message], note: str) -> list[Message]:
    """Add words to the system message, which is made where there is none: many templates take only one, and first."""
    if messages and messages[0].get("role") in ("system", "developer") and isinstance(messages[0].get("content"), str):
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{note}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": note}, *messages]


def _without_images(message: Message) -> Message:
    parts = message.get("content")
    if not isinstance(parts, list) or not any(_is_image(part) for part in parts):
        return message
    lines = [IMAGE_NOTE if _is_image(part) else str(part.get("text", "")) for part in parts]
    # A text and not a list of parts: a server without images often knows no parts either.
    return message | {"content": "\n".join(lines)}


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("image_url", "image_file")
