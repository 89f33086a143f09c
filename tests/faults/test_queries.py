"""The parameters of lists."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Objects
from tests.faults.refusals import (
    long_key,
    not_among,
    not_found,
    out_of_range,
    too_long,
    too_many_keys,
    wrong_kind,
    wrong_type,
)
from tests.support.errors import Error
from tests.support.http import Api

LISTS = {
    "asst": "/assistants",
    "thread": "/threads",
    "msg": "/threads/{0.thread_id}/messages",
    "run": "/threads/{0.thread_id}/runs",
    "step": "/threads/{0.thread_id}/runs/{0.run_id}/steps",
    "vs": "/vector_stores",
}
OF_FILES = [
    "/files",
    "/vector_stores/{0.vector_store_id}/files",
    "/vector_stores/{0.vector_store_id}/file_batches/{0.batch_id}/files",
]
NOT_A_NUMBER = wrong_type("limit", "an integer", "a string")

LIMITS: dict[str, Error] = {
    "0": out_of_range("limit", "integer", "below", "1", "0"),
    "-1": out_of_range("limit", "integer", "below", "1", "-1"),
    "101": out_of_range("limit", "integer", "above", "100", "101"),
    "9" * 30: out_of_range("limit", "integer", "above", "100", "9" * 30),
    "9" * 5000: NOT_A_NUMBER,
    "abc": NOT_A_NUMBER,
    "1.0": NOT_A_NUMBER,
    "1e1": NOT_A_NUMBER,
    "1_0": NOT_A_NUMBER,
    "%2B5": NOT_A_NUMBER,
    "%EF%BC%95": NOT_A_NUMBER,  # a full-width 5
    "0x5": NOT_A_NUMBER,
    "null": NOT_A_NUMBER,
    "%00": NOT_A_NUMBER,
    "5&limit=200": out_of_range("limit", "integer", "above", "100", "200"),
}


@pytest.fixture(params=LISTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str, objects: Objects) -> str:
    return LISTS[kind].format(objects)


def test_a_limit_is_a_whole_number_from_1_to_100(api: Api, path: str) -> None:
    for text, expected in LIMITS.items():
        expected.check(api.get(f"{path}?limit={text}"))
    for text in ("", "1", "100", "007", "5&limit=", "200&limit=5"):
        assert len(api.get(f"{path}?limit={text}").ok["data"]) >= 1


def test_an_order_is_asc_or_desc(api: Api, path: str) -> None:
    for text in ("up", "ASC", "desc ", "%00"):
        answer = api.get(f"{path}?order={text.replace(' ', '%20')}")
        shown = text.replace("%00", "\0")
        message = f"Invalid value: '{shown}'. Supported values are: 'asc' and 'desc'."
        Error(400, message, "order", "invalid_value").check(answer)
    newest_first = api.get(f"{path}?limit=100").ok
    assert api.get(f"{path}?limit=100&order=").ok == newest_first
    assert api.get(f"{path}?limit=100&order=desc").ok == newest_first
    oldest_first = api.get(f"{path}?limit=100&order=asc").ok
    if not newest_first["has_more"]:  # of threads, tests make more than a page
        assert oldest_first["data"] == newest_first["data"][::-1]
    assert oldest_first["data"][0]["created_at"] <= newest_first["data"][0]["created_at"]


def test_a_cursor_names_something_in_the_list(api: Api, kind: str, path: str, objects: Objects) -> None:
    strangers = {
        "asst": objects.thread_id,
        "thread": objects.assistant_id,
        "msg": objects.run_id,
        "run": objects.message_id,
        "step": objects.run_id,
        "vs": objects.file_id,
    }
    here = api.get(path).ok["first_id"]
    for cursor, shown in (
        (f"{kind}_doesnotexist", f"{kind}_doesnotexist"),
        (strangers[kind], strangers[kind]),
        ("undefined", "undefined"),
        ("x" * 3000, "x" * 3000),
        ("%00", "\0"),
        (f"{here}%00", f"{here}\0"),
        (f"{here}%0A", f"{here}\n"),
        ("%FF", "\ufffd"),
    ):
        for parameter in ("after", "before"):
            not_found(kind, shown).check(api.get(f"{path}?{parameter}={cursor}"))
            not_found(kind, shown).check(api.get(f"{path}?{parameter}={cursor}&order=asc&limit=1"))
    everything = api.get(f"{path}?after=&before=").ok
    assert everything == api.get(path).ok


def test_cursors_that_leave_nothing_between_them(api: Api, path: str) -> None:
    here = api.get(path).ok["first_id"]
    empty = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert api.get(f"{path}?after={here}&before={here}").ok == empty
    assert api.get(f"{path}?before={here}").ok == empty  # the newest has nothing before it


@pytest.mark.parametrize("template", OF_FILES)
def test_lists_of_files_take_the_same_parameters(api: Api, objects: Objects, template: str) -> None:
    path = template.format(objects)
    for text, expected in LIMITS.items():
        if path == "/files" and expected.message.startswith("Invalid 'limit': integer above"):
            continue
        expected.check(api.get(f"{path}?limit={text}"))
    here = api.get(path).ok["first_id"]
    for cursor, shown in (
        ("file-doesnotexist", "file-doesnotexist"),
        (objects.vector_store_id, objects.vector_store_id),
        ("x" * 3000, "x" * 3000),
        ("%00", "\0"),
        (f"{here}%0A", f"{here}\n"),
    ):
        Error(404, f"No file found with id '{shown}'.").check(api.get(f"{path}?after={cursor}"))
    newest_first = api.get(path).ok
    assert api.get(f"{path}?order=asc").ok["data"] == newest_first["data"][::-1]
    Error(400, "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value").check(
        api.get(f"{path}?order=up")
    )


def test_files_have_longer_pages_and_no_way_back(api: Api) -> None:
    out_of_range("limit", "integer", "above", "10000", "10001").check(api.get("/files?limit=10001"))
    everything = api.get("/files").ok
    assert api.get("/files?limit=10000").ok == everything
    assert api.get(f"/files?before={everything['first_id']}").ok == everything
    assert api.get("/files?purpose=").ok == everything
    for purpose in ("nothing", "%00", "ASSISTANTS", "%FF"):
        assert api.get(f"/files?purpose={purpose}").ok["data"] == []


@pytest.mark.parametrize("template", OF_FILES[1:])
def test_files_of_stores_are_filtered_by_status(api: Api, objects: Objects, template: str) -> None:
    path = template.format(objects)
    assert [file["id"] for file in api.get(f"{path}?filter=completed").ok["data"]] == [objects.file_id]
    assert api.get(f"{path}?filter=").ok == api.get(path).ok
    for status in ("in_progress", "failed", "cancelled"):
        assert api.get(f"{path}?filter={status}").ok["data"] == []
    for status in ("done", "%00", "COMPLETED"):
        shown = status.replace("%00", "\0")
        choices = "'in_progress', 'completed', 'failed', and 'cancelled'"
        not_among("filter", shown, choices).check(api.get(f"{path}?filter={status}"))


def test_a_run_filter_names_a_run(api: Api, objects: Objects) -> None:
    path = LISTS["msg"].format(objects)
    assert [m["id"] for m in api.get(f"{path}?run_id={objects.run_id}").ok["data"]] == [objects.message_id]
    assert len(api.get(f"{path}?run_id=").ok["data"]) == 2
    assert api.get(f"{path}?run_id=run_doesnotexist").ok["data"] == []
    wrong_kind("run_id", "undefined", "run").check(api.get(f"{path}?run_id=undefined"))
    not_found("run", "run_\0").check(api.get(f"{path}?run_id=run_%00"))


def test_only_what_there_is_can_be_included(api: Api, objects: Objects) -> None:
    known = "step_details.tool_calls[*].file_search.results[*].content"
    steps = LISTS["step"].format(objects)
    for path in (steps, f"{steps}/{objects.step_id}"):
        for name in ("include[]", "include%5B%5D", "include[0]", "include"):
            assert api.get(f"{path}?{name}={known}").status == 200
            for value in ("everything", "", "%00"):
                shown = value.replace("%00", "\0")
                message = f"Invalid value: '{shown}'. Supported values are: '{known}'."
                Error(400, message, "include[0]", "invalid_value").check(api.get(f"{path}?{name}={value}"))


def test_parameters_that_nobody_knows_are_passed_over(api: Api, path: str) -> None:
    """Clients and proxies add their own, as the original lets them."""
    assert api.get(f"{path}?beta=1&utm_source=x&=&&;%00=%00").ok == api.get(path).ok


@pytest.mark.parametrize("id", ["x", "1", "1-", "-1-1", "1-1-1", "²-1", "9999999999999999999-1", "1%00-1", "1.5-2"])
def test_a_stream_goes_on_after_one_of_its_own_events(api: Api, objects: Objects, id: str) -> None:
    path = f"/threads/{objects.thread_id}/runs/{objects.run_id}/events"
    shown = id.replace("%00", "\0")
    expected = Error(
        400,
        f"Invalid 'Last-Event-ID': '{shown}'. Expected the id of an event of this run.",
        "Last-Event-ID",
        "invalid_value",
    )
    expected.check(api.get(f"{path}?last_event_id={id.replace('²', '%C2%B2')}"))
    if "%" not in id:
        expected.check(api.get(path, headers={"Last-Event-ID": id}))


def test_what_no_metadata_can_have_is_not_looked_for(api: Api) -> None:
    """A filter that was not understood must not give everything."""
    for query in ("metadata=a", "metadata={}", "metadata[a=b", "metadata[]x=1"):
        wrong_type("metadata", "an object", "a string").check(api.get(f"/threads?{query}"))
    too_long("metadata.a", 512, 513).check(api.get(f"/threads?metadata[a]={'x' * 513}"))
    long_key("metadata", "k" * 65).check(api.get(f"/threads?metadata[{'k' * 65}]=x"))
    too_many_keys("metadata", 17).check(api.get("/threads?" + "&".join(f"metadata[{n}]=x" for n in range(17))))
    too_long("q", 512, 513).check(api.get(f"/threads?q={'x' * 513}"))
    for query, name in (("metadata[a]=%00", "metadata"), ("metadata[%00]=a", "metadata"), ("q=a%00b", "q")):
        message = f"Invalid '{name}': the character U+0000 cannot be stored, and so not be found."
        Error(400, message, name, "invalid_value").check(api.get(f"/threads?{query}"))
    assert api.get("/threads?q=%FF%F0%9F&metadata[%FF]=%ED%A0%80").ok["data"] == []
    everything = api.get("/threads").ok
    for query in ("q=", "q=%20", "metadat[a]=b", "Metadata[a]=b"):
        assert api.get(f"/threads?{query}").ok == everything


def test_prompts_have_pages_of_twenty(api: Api, objects: Objects) -> None:
    path = f"/threads/{objects.thread_id}/runs/{objects.run_id}/prompts"
    for limit in ("0", "21"):
        side, most = ("below", "1") if limit == "0" else ("above", "20")
        out_of_range("limit", "integer", side, most, limit).check(api.get(f"{path}?limit={limit}"))
    (prompt,) = api.get(f"{path}?limit=20").ok["data"]
    for parameter in ("after", "before"):
        assert api.get(f"{path}?{parameter}={prompt['id']}").ok["data"] == []
        for cursor in ("prompt_1", objects.run_id, "%00", f"{prompt['id']}0"):
            shown = cursor.replace("%00", "\0")
            Error(404, f"No prompt found with id '{shown}'.").check(api.get(f"{path}?{parameter}={cursor}"))
