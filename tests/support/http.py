"""A plain HTTP client: it sends what an SDK would never send, and gives back what was answered, byte for byte."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

KEY = "sk-any"
TIMEOUT = 60.0  # seconds until an answer that never comes is a failure
FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}


@dataclass(frozen=True)
class Answer:
    """A response, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ok(self) -> Any:
        """The JSON of an answer that must be a 200."""
        assert self.status == 200, self.body
        return self.json


class Api:
    """Calls one server with one key. `url` is an SDK's `base_url`; paths begin behind its `/v1`."""

    def __init__(self, url: str, key: str | None = KEY, beta: str = "assistants=v2") -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.address = parts.hostname, parts.port
        self._prefix = parts.path
        self._headers: dict[str, str | None] = {
            "Authorization": None if key is None else f"Bearer {key}",
            "OpenAI-Beta": beta,
        }

    def __call__(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Send a request. A body that is not bytes (or an iterator of them, sent in chunks) goes as JSON.

        A header that is None is not sent at all.
        """
        with self.open(method, path, body, headers=headers) as response:
            return Answer(response.status, _lower(response), response.read())

    @contextmanager
    def open(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str | None] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request, and give its response as it comes, for streams."""
        sent = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes | Iterator):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT)
        try:
            chosen = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, self._prefix + path, body, chosen, encode_chunked=isinstance(body, Iterator))
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self("DELETE", path, **options)

    def upload(
        self, content: bytes, filename: str = "a.txt", path: str = "/files", name: str = "file", **fields: str
    ) -> Answer:
        """Send a file in a form, with purpose `assistants` unless `fields` say otherwise."""
        chosen = fields if path != "/files" else {"purpose": "assistants"} | fields
        return self.post(path, form(chosen, name, filename, content), headers=FORM)


def form(fields: Mapping[str, str], name: str, filename: str, content: bytes) -> bytes:
    """A body of the type `FORM`: fields, then a file."""
    parts = [(f'name="{field}"', value.encode()) for field, value in fields.items()]
    parts.append((f'name="{name}"; filename="{filename}"', content))
    sent = b"".join(
        f"--b0undary\r\nContent-Disposition: form-data; {said}\r\n\r\n".encode() + value + b"\r\n"
        for said, value in parts
    )
    return sent + b"--b0undary--\r\n"


def _lower(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
