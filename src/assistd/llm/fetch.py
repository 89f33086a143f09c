"""Large files over HTTP: resumed where an earlier try stopped, as long as the file is still the same.

What has arrived is in `NAME.part`; beside it, `NAME.part.json` says of what file
it is a part. Sources: RFC 9110 on ranges and validators; the headers by which
the model hub tells the SHA-256 and the size of a file that it sends elsewhere for.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from assistd.fetching.progress import At
from assistd.llm.gguf import MAGIC
from assistd.llm.model_index import LocalModelError

# Seconds between tries that bring nothing new; after the last one the fetch is given up.
RETRY_DELAYS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_CHUNK: Final = 1 << 20
_SHA256: Final = re.compile(r'(?:W/)?"?([0-9a-fA-F]{64})"?')
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch. `hub` is the origin whose headers tell the file's SHA-256, `token` what it asks for."""

    url: str
    hub: str = ""
    token: str = ""

    @property
    def shown(self) -> str:
        """The address without what may be secret in it: user, password and query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def is_of_hub(self, url: object) -> bool:
        """Whether an address is the hub's own."""
        return bool(self.hub) and f"{url}".startswith(self.hub + "/")


class _PartOf(msgspec.Struct, frozen=True):
    """The file that a part belongs to; `validator` is a strong ETag or a date, "" where the server gave none."""

    url: str
    validator: str = ""
    size: int | None = None
    sha256: str = ""


class _Cut(Exception):
    """This try ended early; another may go on."""


async def fetch(file: RemoteFile, part: Path, at: At, delays: Sequence[float] = RETRY_DELAYS) -> str:
    """Fetch a GGUF file into `part`, on top of what is there of it.

    Return the SHA-256 that the hub promises, "" where it promises none. Raises LocalModelError.
    """
    async with aiohttp.ClientSession(trust_env=True, timeout=_TIMEOUT, auto_decompress=False) as session:
        work = _Fetch(session, file, part, at)
        farthest, tried = work.offset, 0
        while True:
            try:
                return await work.go_on()
            except (aiohttp.ClientError, TimeoutError, ConnectionError, _Cut) as fault:
                # A server that starts over every time brings nothing new, however much it sends.
                farthest, tried = (work.offset, 0) if work.offset > farthest else (farthest, tried)
                if tried == len(delays):
                    raise LocalModelError(f"{file.shown} could not be fetched: {_told(fault)}") from fault
            except OSError as fault:
                raise LocalModelError(f"{part} cannot be written: {fault.strerror}.") from fault
            await asyncio.sleep(delays[tried])
            tried += 1


def discard(part: Path) -> None:
    """Delete a part and what is known about it."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


class _Fetch:
    def __init__(self, session: aiohttp.ClientSession, file: RemoteFile, part: Path, at: At) -> None:
        self._session, self._file, self._part, self._at = session, file, part, at
        self._known = _PartOf(file.url)
        with suppress(OSError, msgspec.DecodeError):
            self._known = msgspec.json.decode(_notes(part).read_bytes(), type=_PartOf)
        if self._known.url != file.url:
            self._start_over()

    @property
    def offset(self) -> int:
        """How many bytes are there."""
        with suppress(FileNotFoundError):
            return self._part.stat().st_size
        return 0

    async def go_on(self) -> str:
        """Fetch what is missing, in one request; the promised SHA-256. Raises _Cut and whatever aiohttp does."""
        offset = self.offset
        if offset and offset == self._known.size:
            return self._known.sha256
        if offset and not self._known.validator:
            self._start_over()
            offset = 0
        async with self._session.get(self._file.url, headers=self._headers(offset)) as response:
            self._check_way(response)
            self._check_status(response)
            start = self._agree(response, offset)
            await self._receive(response, start)
        if self._known.size not in (None, self.offset):
            raise _Cut(f"{self.offset} of {self._known.size} bytes came")
        return self._known.sha256

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "assistd"}
        if self._file.token and self._file.is_of_hub(self._file.url):
            headers["Authorization"] = f"Bearer {self._file.token}"
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": self._known.validator}
        return headers

    def _check_way(self, response: aiohttp.ClientResponse) -> None:
        schemes = [hop.url.scheme for hop in (*response.history, response)]
        if "https" in schemes and schemes[-1] != "https":
            raise LocalModelError(f"{self._file.shown} leads from https to http, where anybody could change it.")

    def _check_status(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status in (200, 206):
            return
        if status == 416:
            self._start_over()
        if status in (408, 416, 425, 429) or status >= 500:
            raise _Cut(f"the server answered with status {status}")
        hint = ""
        if status in (401, 403) and self._file.hub:
            hint = " Where a model must be asked for, put your token for the hub into HF_TOKEN."
        elif status == 404:
            hint = " Look the address up again, capitals included."
        raise LocalModelError(f"{self._file.shown} answered with status {status}.{hint}")

    def _agree(self, response: aiohttp.ClientResponse, offset: int) -> int:
        """Where in the file this answer begins, having noted what the file is."""
        headers = response.headers
        size, start = response.content_length, 0
        if response.status == 206:
            span = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            if span is None or int(span[1]) != offset:
                self._start_over()
                raise _Cut("the server sent another piece of the file than the one it was asked for")
            start, size = offset, None if span[2] == "*" else int(span[2])
        validator = headers.get("ETag", "")
        if not validator or validator.startswith("W/"):
            validator = headers.get("Last-Modified", "")
        promised_size, sha256 = self._promised(response)
        now = _PartOf(self._file.url, validator, size, sha256)
        if promised_size is not None and size is not None and size != promised_size:
            raise LocalModelError(f"{self._file.shown} is {size} bytes where the hub promised {promised_size}.")
        if start and self._differs(now):
            self._start_over()
            raise _Cut("the file changed while it was fetched")
        if not start:
            self._start_over()
            self._known = now
            _notes(self._part).write_bytes(msgspec.json.encode(now))
        if size is not None and shutil.disk_usage(self._part.parent).free < size - start:
            raise LocalModelError(
                f"{self._file.shown} is {size / 1e6:.0f} MB; {self._part.parent} has less space left."
            )
        return start

    def _differs(self, now: _PartOf) -> bool:
        """Whether an answer is about another file than the one whose part is there."""
        then = self._known
        return (
            now.size != then.size
            or now.validator not in ("", then.validator)
            or bool(now.sha256 and then.sha256 and now.sha256 != then.sha256)
        )

    def _promised(self, response: aiohttp.ClientResponse) -> tuple[int | None, str]:
        """Size and SHA-256 of the file as the hub tells them, on its way to where the file is."""
        size, sha256 = None, ""
        for hop in (*response.history, response):
            if self._file.is_of_hub(hop.url):
                linked = hop.headers.get("X-Linked-Size", "")
                size = int(linked) if linked.isdecimal() else size
                tag = _SHA256.fullmatch(hop.headers.get("X-Linked-Etag") or hop.headers.get("ETag") or "")
                sha256 = tag[1].lower() if tag else sha256
        return size, sha256

    async def _receive(self, response: aiohttp.ClientResponse, start: int) -> None:
        head = MAGIC if start else b""
        done = start
        with self._part.open("ab") as out:
            async for chunk in response.content.iter_chunked(_CHUNK):
                if len(head) < len(MAGIC):
                    head += chunk[: len(MAGIC)]
                    if not head.startswith(MAGIC[: len(head)]):
                        break
                out.write(chunk)
                done += len(chunk)
                self._at(done, self._known.size)
        if not head.startswith(MAGIC[: len(head)]):
            self._start_over()
            raise LocalModelError(
                f"{self._file.shown} answered with {response.content_type or 'something'}, which is not a GGUF file."
            )

    def _start_over(self) -> None:
        discard(self._part)
        self._known = _PartOf(self._file.url)


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _told(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "the server did not answer in time."
    return f"{fault}." if f"{fault}" else f"{type(fault).__name__}."
