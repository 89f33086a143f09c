"""Pulling from real HTTP servers on loopback, among them ones that break off, lie and change their minds."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from assistd.fetching.progress import At
from assistd.llm import fetch, store
from assistd.llm.model_index import LocalModelError, ModelIndex
from tests.support.gguf import tiny_gguf

NO_DELAYS = (0.0, 0.0, 0.0)
MODEL = tiny_gguf(size=3_000_000)
OTHER = tiny_gguf(size=3_000_000, values={"general.architecture": "qwen2"})
HTML = b"<html>This is not the page you are looking for.</html>"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Asked(NamedTuple):
    """What a request said: its range, on what condition, and who asks."""

    range: str | None
    condition: str | None
    authorization: str | None


class Host:
    """A server of one file that knows ranges, with the faults it is told to have. Each fault counts for one answer."""

    def __init__(self, data: bytes = MODEL) -> None:
        self.data = data
        self.etag: str | None = '"one"'
        self.ranges = True
        self.heeds_condition = True
        self.claimed: int | None = None  # the size it speaks of, where that is not the size there is
        self.most: int | None = None  # the bytes that it sends for one range at most
        self.cuts: list[int] = []  # how many bytes it sends before it hangs up, answer by answer
        self.statuses: list[int] = []
        self.content_type = "application/octet-stream"
        self.asked: list[Asked] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        asked = Asked(headers.get("Range"), headers.get("If-Range"), headers.get("Authorization"))
        self.asked.append(asked)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.Response(status=status, text="no")
        size = self.claimed or len(self.data)
        start = 0
        if asked.range and self.ranges and (asked.condition == self.etag or not self.heeds_condition):
            start = int(asked.range.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.data):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        stop = min(size, start + self.most) if start and self.most else size
        response = web.StreamResponse(status=206 if start else 200)
        response.content_type = self.content_type
        response.content_length = stop - start
        if self.etag:
            response.headers["ETag"] = self.etag
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await response.prepare(request)
        end = start + self.cuts.pop(0) if self.cuts else min(stop, len(self.data))
        await response.write(self.data[start:end])
        if end < stop:
            assert request.transport is not None
            request.transport.close()
        return response


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[str]:
    """Serve handlers, each under its name and all that is below it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handlers[request.path.split("/")[1]](request)

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Watch:
    """Shows nothing and remembers everything."""

    def __init__(self) -> None:
        self.moved, self.told = asyncio.Event(), asyncio.Event()
        self.notes: list[str] = []
        self.seen: list[tuple[int, int | None]] = []

    @contextmanager
    def work(self, what: str) -> Iterator[At]:
        def at(done: int, total: int | None) -> None:
            self.seen.append((done, total))
            self.moved.set()

        yield at

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.told.set()


async def pull(data_dir: Path, source: str, **more: Any) -> store.PulledModel:
    return await store.pull(data_dir, source, retry_delays=NO_DELAYS, **{"environ": {}, **more})


def kept(data_dir: Path, name: str = "fox") -> bytes:
    return (data_dir / "models" / f"{name}.gguf").read_bytes()


def left_over(data_dir: Path) -> list[str]:
    """What lies in the folder of models besides the models, their index and the lock."""
    usual = re.compile(r".*\.gguf|index\.json|lock")
    return sorted(path.name for path in (data_dir / "models").iterdir() if not usual.fullmatch(path.name))


# --- a file that comes


async def test_a_file_is_fetched_checked_and_recorded(tmp_path: Path) -> None:
    watch = Watch()
    async with serving(files=Host()) as url:
        address = f"{url}/files/fox.gguf?download=true"
        model = await pull(tmp_path, address, sha256=sha256(MODEL).upper(), progress=watch)
    assert (model.name, model.file, model.size, model.sha256) == ("fox", "fox.gguf", len(MODEL), sha256(MODEL))
    assert model.source == f"{url}/files/fox.gguf"
    assert kept(tmp_path) == MODEL
    assert watch.seen[-1] == (len(MODEL), len(MODEL))
    assert store.list_models(tmp_path) == [model]
    assert left_over(tmp_path) == []


async def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    host = Host()
    host.cuts = [1_000_000, 500_000, 700_000]
    async with serving(files=host) as url:
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL
    assert host.asked == [
        Asked(None, None, None),
        Asked("bytes=1000000-", '"one"', None),
        Asked("bytes=1500000-", '"one"', None),
        Asked("bytes=2200000-", '"one"', None),
    ]


async def test_tries_that_bring_something_new_are_not_counted(tmp_path: Path) -> None:
    host = Host()
    host.cuts = [100_000] * 20
    async with serving(files=host) as url:
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL


async def test_a_server_that_sends_a_range_in_pieces_is_asked_for_each(tmp_path: Path) -> None:
    host = Host()
    host.cuts, host.most = [1_000_000], 900_000
    async with serving(files=host) as url:
        await pull(tmp_path, f"{url}/files/fox.gguf")
    starts = ("1000000", "1900000", "2800000")
    assert [asked.range for asked in host.asked] == [None, *(f"bytes={start}-" for start in starts)]
    assert kept(tmp_path) == MODEL


async def test_a_pull_that_failed_is_resumed_by_the_next_one(tmp_path: Path) -> None:
    host = Host()
    host.cuts = [2_000_000, 0, 0, 0, 0]
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError, match="could not be fetched"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
        assert store.list_models(tmp_path) == []
        assert not (tmp_path / "models" / "fox.gguf").exists()
        host.asked.clear()
        host.cuts.clear()
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert host.asked == [Asked("bytes=2000000-", '"one"', None)]
    assert kept(tmp_path) == MODEL


async def test_a_pull_that_was_cancelled_is_resumed_by_the_next_one(tmp_path: Path) -> None:
    half, hanging = Host(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": '"one"', "Content-Length": str(len(MODEL))})
        await response.prepare(request)
        await response.write(MODEL[:2_000_000])
        await hanging.wait()
        return response

    answers: list[Handler] = [hang, half]
    async with serving(files=lambda request: answers[0](request)) as url:
        watch = Watch()
        pulling = asyncio.create_task(pull(tmp_path, f"{url}/files/fox.gguf", progress=watch))
        await watch.moved.wait()
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        there = (tmp_path / "models" / "fox.gguf.part").stat().st_size
        hanging.set()
        answers.pop(0)
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert half.asked == [Asked(f"bytes={there}-", '"one"', None)]
    assert kept(tmp_path) == MODEL


# --- a file that is not the same any more


@pytest.mark.parametrize("heeds", [True, False], ids=["asks again by itself", "ignores the condition"])
async def test_a_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path, heeds: bool) -> None:
    host = Host(OTHER)
    host.cuts = [2_000_000, 0, 0, 0, 0]
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError):
            await pull(tmp_path, f"{url}/files/fox.gguf")
        host.data, host.etag, host.heeds_condition = MODEL, '"two"', heeds
        host.cuts.clear()
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL


async def test_a_part_of_another_address_is_not_used(tmp_path: Path) -> None:
    host, other = Host(), Host(OTHER)
    other.cuts = [2_000_000, 0, 0, 0, 0]
    async with serving(one=other, two=host) as url:
        with pytest.raises(LocalModelError):
            await pull(tmp_path, f"{url}/one/fox.gguf")
        await pull(tmp_path, f"{url}/two/fox.gguf")
    assert host.asked == [Asked(None, None, None)]
    assert kept(tmp_path) == MODEL


async def test_what_came_from_elsewhere_since_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path, at: At) -> None:
        target.write_bytes(OTHER[:2_500_000])
        raise OSError("the disk was pulled out")

    host = Host()
    host.cuts = [2_000_000, 0, 0, 0, 0]
    (tmp_path / "fox.gguf").write_bytes(OTHER)
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError):
            await pull(tmp_path, f"{url}/files/fox.gguf")
        host.cuts.clear()
        monkeypatch.setattr(store, "_copy", copy)
        with pytest.raises(LocalModelError, match="the disk was pulled out"):
            await pull(tmp_path, str(tmp_path / "fox.gguf"))
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL


async def test_without_a_validator_the_file_is_fetched_anew(tmp_path: Path) -> None:
    host = Host()
    host.etag = None
    host.cuts = [1_000_000]
    async with serving(files=host) as url:
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert host.asked == [Asked(None, None, None)] * 2
    assert kept(tmp_path) == MODEL


async def test_a_server_without_ranges_sends_the_file_anew(tmp_path: Path) -> None:
    host = Host()
    host.ranges = False
    host.cuts = [1_000_000]
    async with serving(files=host) as url:
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL


async def test_a_server_that_starts_over_and_breaks_every_time_is_given_up(tmp_path: Path) -> None:
    host = Host()
    host.ranges = False
    host.cuts = [1_000_000] * 100
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError, match="could not be fetched"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert len(host.asked) == 1 + len(NO_DELAYS)


async def test_a_range_that_cannot_be_satisfied_starts_over(tmp_path: Path) -> None:
    host = Host()
    host.claimed = len(MODEL) + 10  # so that all there is counts as a part
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError):
            await pull(tmp_path, f"{url}/files/fox.gguf")
        host.claimed = None
        await pull(tmp_path, f"{url}/files/fox.gguf")
    assert kept(tmp_path) == MODEL


# --- what is refused


async def test_fewer_bytes_than_promised_are_no_model(tmp_path: Path) -> None:
    host = Host()
    host.claimed = 2 * len(MODEL)
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError, match="could not be fetched"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert store.list_models(tmp_path) == []
    assert not (tmp_path / "models" / "fox.gguf").exists()


async def test_a_page_is_no_model(tmp_path: Path) -> None:
    host = Host(HTML)
    host.content_type = "text/html"
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError, match="answered with text/html, which is not a GGUF file"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert len(host.asked) == 1
    assert left_over(tmp_path) == []


async def test_a_file_that_is_too_short_for_a_magic_number_is_no_model(tmp_path: Path) -> None:
    async with serving(files=Host(b"GG")) as url:
        with pytest.raises(LocalModelError, match="is not a GGUF file"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert left_over(tmp_path) == []


async def test_a_damaged_head_is_no_model(tmp_path: Path) -> None:
    async with serving(files=Host(MODEL[:60])) as url:
        with pytest.raises(LocalModelError, match="damaged GGUF file"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert left_over(tmp_path) == []


async def test_another_sha256_than_expected_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    async with serving(files=Host()) as url:
        with pytest.raises(LocalModelError, match=f"its SHA-256 is {sha256(MODEL)}, not {'0' * 64}"):
            await pull(tmp_path, f"{url}/files/fox.gguf", sha256="0" * 64)
    assert store.list_models(tmp_path) == []
    assert left_over(tmp_path) == []


async def test_a_refused_file_leaves_the_model_of_before(tmp_path: Path) -> None:
    host = Host()
    async with serving(files=host) as url:
        before = await pull(tmp_path, f"{url}/files/fox.gguf")
        host.data = HTML
        with pytest.raises(LocalModelError):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert store.list_models(tmp_path) == [before]
    assert kept(tmp_path) == MODEL


async def test_statuses_that_pass_are_waited_for_and_others_told(tmp_path: Path) -> None:
    host = Host()
    host.statuses = [503, 429, 404]
    async with serving(files=host) as url:
        with pytest.raises(LocalModelError, match=r"answered with status 404\. Look the address up"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert len(host.asked) == 3


async def test_nobody_there(tmp_path: Path) -> None:
    async with serving(files=Host()) as url:
        pass
    with pytest.raises(LocalModelError, match=f"{url}/files/fox.gguf could not be fetched: "):
        await pull(tmp_path, f"{url}/files/fox.gguf")


async def test_a_file_that_does_not_fit_is_refused_before_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(NamedTuple):
        free: int = 1_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Full())
    async with serving(files=Host()) as url:
        with pytest.raises(LocalModelError, match="has less space left"):
            await pull(tmp_path, f"{url}/files/fox.gguf")
    assert not (tmp_path / "models" / "fox.gguf.part").exists()


# --- the hub


class Hub:
    """A hub that knows what a file must be, and sends the client to another server for it."""

    def __init__(self, leads_to: str, **headers: str) -> None:
        self._leads_to, self._headers = leads_to, headers
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.authorizations.append(request.headers.get("Authorization"))
        headers = {name.replace("_", "-"): value for name, value in self._headers.items()}
        return web.Response(status=302, headers={"Location": self._leads_to, **headers})


async def test_a_hub_file_is_fetched_by_its_short_name_and_held_to_the_hubs_sha256(tmp_path: Path) -> None:
    host = Host()
    async with serving(files=host) as elsewhere:
        # Another name of the same machine is another origin.
        hub = Hub(elsewhere.replace("127.0.0.1", "localhost") + "/files/1", X_Linked_Etag=f'"{sha256(MODEL)}"')
        async with serving(hub=hub) as url:
            environ = {"HF_ENDPOINT": f"{url}/hub", "HF_TOKEN": "hf_secret"}
            model = await pull(tmp_path, "owner/repo/sub/fox one.gguf", environ=environ)
            again = await pull(tmp_path, "owner/repo:fox.gguf", environ=environ)
    assert hub.paths == ["/hub/owner/repo/resolve/main/sub/fox one.gguf", "/hub/owner/repo/resolve/main/fox.gguf"]
    assert (model.name, again.name) == ("fox-one", "fox")
    assert model.sha256 == sha256(MODEL)
    assert hub.authorizations == ["Bearer hf_secret"] * 2
    assert [asked.authorization for asked in host.asked] == [None, None]


async def test_a_file_that_is_not_what_the_hub_says_is_refused(tmp_path: Path) -> None:
    async with serving(files=Host()) as elsewhere, serving(hub=Hub(f"{elsewhere}/files/1", ETag="0" * 64)) as url:
        with pytest.raises(LocalModelError, match="its SHA-256 is"):
            await pull(tmp_path, "owner/repo/fox.gguf", environ={"HF_ENDPOINT": f"{url}/hub/"})
    assert left_over(tmp_path) == []


async def test_a_size_that_is_not_what_the_hub_says_is_refused(tmp_path: Path) -> None:
    async with serving(files=Host()) as elsewhere, serving(hub=Hub(f"{elsewhere}/files/1", X_Linked_Size="17")) as url:
        with pytest.raises(LocalModelError, match="3000000 bytes where the hub promised 17"):
            await pull(tmp_path, "owner/repo/fox.gguf", environ={"HF_ENDPOINT": f"{url}/hub"})


async def test_an_etag_of_any_other_server_is_not_taken_for_a_sha256(tmp_path: Path) -> None:
    host = Host()
    host.etag = f'"{"0" * 64}"'
    async with serving(files=host) as url:
        assert (await pull(tmp_path, f"{url}/files/fox.gguf")).sha256 == sha256(MODEL)


async def test_the_token_for_the_hub_is_for_the_hub(tmp_path: Path) -> None:
    host = Host()
    async with serving(files=host) as url:
        environ = {"HF_ENDPOINT": "http://hub.example", "HF_TOKEN": "hf_secret"}
        await pull(tmp_path, f"{url}/files/fox.gguf", environ=environ)
    assert host.asked == [Asked(None, None, None)]


async def test_the_page_about_a_hub_file_leads_to_the_file(tmp_path: Path) -> None:
    host = Host()
    async with serving(hub=host) as url:
        model = await pull(tmp_path, f"{url}/hub/owner/repo/blob/main/fox.gguf", environ={"HF_ENDPOINT": f"{url}/hub"})
    assert model.source.endswith("/hub/owner/repo/resolve/main/fox.gguf")


async def test_a_gated_hub_file_asks_for_a_token(tmp_path: Path) -> None:
    host = Host()
    host.statuses = [401]
    async with serving(hub=host) as url:
        with pytest.raises(LocalModelError, match=r"status 401\. .*HF_TOKEN"):
            await pull(tmp_path, "owner/repo/fox.gguf", environ={"HF_ENDPOINT": f"{url}/hub"})


# --- several at a time


async def test_pulls_at_the_same_time_follow_each_other(tmp_path: Path) -> None:
    host = Host()
    async with serving(files=host) as url:
        source = f"{url}/files/fox.gguf"
        pulled = await asyncio.gather(*(pull(tmp_path, source, sha256=sha256(MODEL)) for _ in range(3)))
    assert {model.sha256 for model in pulled} == {sha256(MODEL)}
    assert len(host.asked) == 1  # the others found it there
    assert kept(tmp_path) == MODEL
    assert left_over(tmp_path) == []


async def test_who_waits_is_told(tmp_path: Path) -> None:
    watch = Watch()
    async with serving(files=Host()) as url:
        async with ModelIndex(tmp_path / "models").locked():
            waiting = asyncio.create_task(pull(tmp_path, f"{url}/files/fox.gguf", progress=watch))
            await watch.told.wait()
            assert store.list_models(tmp_path) == []
            with pytest.raises(LocalModelError, match="being pulled just now"):
                store.remove(tmp_path, "fox")
        await waiting
    assert watch.notes == ["Another process pulls a model; waiting for it."]


# --- details


def test_the_address_that_is_shown_holds_no_secret() -> None:
    file = fetch.RemoteFile("https://me:secret@example.org/a/fox.gguf?signature=secret#secret")
    assert file.shown == "https://example.org/a/fox.gguf"


@pytest.mark.parametrize("other", ["https://hub.example.evil.org/x", "http://hub.example/x", "https://hub.example"])
def test_only_the_hubs_own_origin_is_the_hub(other: str) -> None:
    file = fetch.RemoteFile("https://hub.example/x", hub="https://hub.example")
    assert file.is_of_hub(file.url)
    assert not file.is_of_hub(other)
