"""The parameters of lists."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Objects
from tests.faults.refusals import not_found, out_of_range, wrong_kind, wrong_type
from tests.support.errors import Error
from tests.support.http import Api

LISTS = {
    "asst": "/assistants",
    "msg": "/threads/{0.thread_id}/messages",
    "run": "/threads/{0.thread_id}/runs",
    "step": "/threads/{0.thread_id}/runs/{0.run_id}/steps",
}
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
    assert api.get(f"{path}?limit=100&order=asc").ok["data"] == newest_first["data"][::-1]


def test_a_cursor_names_something_in_the_list(api: Api, kind: str, path: str, objects: Objects) -> None:
    strangers = {"asst": objects.thread_id, "msg": objects.run_id, "run": objects.message_id, "step": objects.run_id}
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
