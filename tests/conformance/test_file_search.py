"""File search: upload, index, ask, and citations that are true, with today's SDK and beside the recorded stream."""

from __future__ import annotations

import io
import json
from typing import Any

import openai
import pytest
from openai.types import VectorStore

from tests.conformance.shapes import assert_joined, assert_same
from tests.conformance.sse import Event, read_events, recorded
from tests.conformance.talk import POLL, WEATHER, Walk, script, text_of
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.talk import path_of, until

FOODS = """The favorite food of several people:
- Summanus Ferdinand: tacos
- Tekakwitha Effie: pizza
- Filip Carola: cake"""
HARBOUR = "The harbour of Trieste was dug in 1869 by the engineer Pascal. It silted up a century later."
SEARCH: Any = {"type": "file_search"}
FIND_CAKE = '/call file_search {"query": "What is the favorite food of Filip Carola?"}'
CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"


def upload(client: openai.OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, io.BytesIO(text.encode())), purpose="assistants").id


def store_of(client: openai.OpenAI, *file_ids: str) -> VectorStore:
    store = client.vector_stores.create(name="papers")
    for file_id in file_ids:
        done = client.vector_stores.files.create_and_poll(
            vector_store_id=store.id, file_id=file_id, poll_interval_ms=POLL
        )
        assert (done.status, done.last_error) == ("completed", None)
    return client.vector_stores.retrieve(store.id)


@pytest.fixture
def foods(client: openai.OpenAI) -> str:
    return upload(client, "favorite_foods.txt", FOODS)


@pytest.fixture
def walk(client: openai.OpenAI, foods: str) -> Walk:
    resources: Any = {"file_search": {"vector_store_ids": [store_of(client, foods).id]}}
    return Walk(client, tools=[SEARCH], tool_resources=resources)


# --- beside the recorded stream


def test_a_search_streams_as_recorded(wiretap: Wiretap, walk: Walk, foods: str) -> None:
    api = Api(wiretap.url)
    said = "Filip's favorite food is cake【0:0†favorite_foods.txt】."
    thread = walk.thread(script(FIND_CAKE, f"/say {said}"))
    body = {"assistant_id": walk.assistant.id, "stream": True}
    with api.open("POST", f"/threads/{thread.id}/runs?include[]={CONTENT}", body) as response:
        ours = read_events(response.read())
    assert ours[-1] == Event("done", "[DONE]")
    assert_joined(ours)

    final = next(event.data for event in ours if event.name == "thread.message.completed")["content"][0]["text"]
    annotated = next(
        event.data["delta"]["content"][0]["text"]
        for event in ours
        if event.name == "thread.message.delta" and event.data["delta"]["content"][0]["text"].get("annotations")
    )
    assert final["value"] == said
    (annotation,) = final["annotations"]
    assert annotation == {
        "type": "file_citation",
        "text": "【0:0†favorite_foods.txt】",
        "start_index": 29,
        "end_index": 53,
        "file_citation": {"file_id": foods, "quote": "- Filip Carola: cake"},
    }
    # Marker and annotation come in the same delta.
    assert annotated == {"value": annotation["text"], "annotations": [{"index": 0, **annotation}]}

    # The quote is ours: without it, all is as recorded.
    del annotation["file_citation"]["quote"]
    assert_same(ours, recorded("v2-file_search"))


@pytest.mark.parametrize(
    ("name", "cited"),
    [
        ("docs/2024/favorite foods.txt", "docs/2024/favorite foods.txt"),
        ("C:\\docs\\foods.txt", "C:\\docs\\foods.txt"),
        ("a.b/no extension", "a.b/no extension"),
        ("x" * 1020 + ".txt", "x" * 127 + "…" + "x" * 123 + ".txt"),
    ],
)
def test_a_file_is_found_and_cited_under_the_name_that_it_was_sent_with(
    client: openai.OpenAI, name: str, cited: str
) -> None:
    file = upload(client, name, FOODS)
    store = store_of(client, file).id
    (hit,) = client.vector_stores.search(store, query="favorite food").data
    assert (hit.file_id, hit.filename) == (file, name)
    walk = Walk(client, tools=[SEARCH], tool_resources={"file_search": {"vector_store_ids": [store]}})
    said = f"It is cake【0:0†{cited}】."
    run = walk.run(walk.thread(script(FIND_CAKE, f"/say {said}")))
    (result,) = walk.steps(run)[0].step_details.tool_calls[0].file_search.results
    assert result.file_name == name
    (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    (annotation,) = message.content[0].text.annotations  # type: ignore[union-attr]
    assert (annotation.text, annotation.file_citation.file_id) == (f"【0:0†{cited}】", file)  # type: ignore[union-attr]


# --- steps


def test_results_are_step_details_and_their_words_are_shown_on_request(
    client: openai.OpenAI, walk: Walk, foods: str
) -> None:
    run = walk.run(walk.thread(script(FIND_CAKE)))
    assert run.status == "completed"
    step, answer = walk.steps(run)
    (call,) = step.step_details.tool_calls
    assert (step.type, step.status, answer.type) == ("tool_calls", "completed", "message_creation")
    assert call.file_search.ranking_options.to_dict() == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    (result,) = call.file_search.results
    assert (result.file_id, result.file_name, result.content) == (foods, "favorite_foods.txt", None)
    assert 0 < result.score <= 1

    steps = client.beta.threads.runs.steps
    for shown in (
        steps.retrieve(step.id, thread_id=run.thread_id, run_id=run.id, include=[CONTENT]),
        steps.list(run.id, thread_id=run.thread_id, include=[CONTENT], order="asc").data[0],
    ):
        (result,) = shown.step_details.tool_calls[0].file_search.results  # type: ignore[union-attr]
        assert [part.text for part in result.content] == [FOODS]
    with pytest.raises(openai.BadRequestError, match="Supported values are"):
        steps.list(run.id, thread_id=run.thread_id, include=["everything"])  # type: ignore[list-item]


def test_a_stream_shows_the_words_of_results_only_on_request(wiretap: Wiretap, walk: Walk) -> None:
    api = Api(wiretap.url)
    for include, shown in (("", False), (f"?include%5B%5D={CONTENT}", True)):
        thread = walk.thread(script(FIND_CAKE))
        with api.open(
            "POST", f"/threads/{thread.id}/runs{include}", {"assistant_id": walk.assistant.id, "stream": True}
        ) as response:
            events = read_events(response.read())
        step = next(event.data for event in events if event.name == "thread.run.step.completed")
        (result,) = step["step_details"]["tool_calls"][0]["file_search"]["results"]
        assert ("content" in result) == shown


def test_several_searches_in_one_turn_and_in_several(client: openai.OpenAI, walk: Walk) -> None:
    harbour = '/call file_search {"query": "Who dug the harbour?"}'
    client.vector_stores.files.create_and_poll(
        vector_store_id=walk.assistant.tool_resources.file_search.vector_store_ids[0],  # type: ignore[union-attr,index]
        file_id=upload(client, "harbour.md", HARBOUR),
        poll_interval_ms=POLL,
    )
    run = walk.run(
        walk.thread(script(FIND_CAKE, harbour, "/rounds 2", "/say 【0:0†source】【1:0†source】【3:0†source】"))
    )
    assert run.status == "completed"
    first, second, last = walk.steps(run)
    assert [len(step.step_details.tool_calls) for step in (first, second)] == [2, 2]
    (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    annotations = message.content[0].text.annotations  # type: ignore[union-attr]
    found = [client.files.retrieve(a.file_citation.file_id).filename for a in annotations]  # type: ignore[union-attr]
    assert found == ["favorite_foods.txt", "harbour.md", "harbour.md"]
    # The run counts the tokens of all its turns.
    used = [step.usage.total_tokens for step in (first, second, last)]
    assert run.usage is not None
    assert run.usage.total_tokens == sum(used)
    assert all(used)


def test_a_search_and_a_function_in_one_turn(walk: Walk) -> None:
    assistant = walk.client.beta.assistants.update(walk.assistant.id, tools=[SEARCH, WEATHER])
    assert [tool.type for tool in assistant.tools] == ["file_search", "function"]
    run = walk.run(walk.thread(script(FIND_CAKE, '/call get_weather {"city": "Oslo"}')))
    assert run.status == "requires_action"
    assert run.required_action is not None
    (asked,) = run.required_action.submit_tool_outputs.tool_calls
    (step,) = walk.steps(run)
    assert step.status == "in_progress"
    run = walk.submit(run, "rain")
    step, _ = walk.steps(run)
    searched, called = step.step_details.tool_calls
    assert (step.status, searched.type, called.id, called.function.output) == (
        "completed",
        "file_search",
        asked.id,
        "rain",
    )
    answer = walk.answer(run)
    assert "cake" in answer
    assert "rain" in answer


def test_what_the_model_is_told(walk: Walk) -> None:
    run = walk.run(walk.thread(script(FIND_CAKE, "/report")))
    report = walk.report(run)
    (tool,) = report["tools"]
    assert tool["function"]["name"] == "file_search"
    assert "marker" in tool["function"]["description"]
    asked, told = report["messages"][-2:]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == json.loads(FIND_CAKE.split(" ", 2)[2])
    assert told["content"] == f"【0:0†favorite_foods.txt】\n{FOODS}"


def test_a_marker_of_an_earlier_run_still_cites(client: openai.OpenAI, walk: Walk, foods: str) -> None:
    thread = walk.thread(script(FIND_CAKE))
    assert walk.run(thread).status == "completed"
    walk.say(thread, "/say As I said【0:0†favorite_foods.txt】, and not【7:0†favorite_foods.txt】")
    run = walk.run(thread)
    (message,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data
    (annotation,) = message.content[0].text.annotations  # type: ignore[union-attr]
    assert annotation.file_citation.file_id == foods  # type: ignore[union-attr]
    assert text_of(message).endswith("not【7:0†favorite_foods.txt】")


# --- what the tool obeys


def test_tool_choice_can_force_a_search(walk: Walk) -> None:
    run = walk.run(walk.thread("What does Filip like?"), tool_choice=SEARCH)
    assert run.status == "completed"
    assert [step.type for step in walk.steps(run)] == ["tool_calls", "message_creation"]
    run = walk.run(walk.thread(script(FIND_CAKE, "/say no")), tool_choice="none")
    assert [step.type for step in walk.steps(run)] == ["message_creation"]


def test_number_and_threshold_of_results(client: openai.OpenAI, walk: Walk) -> None:
    (store_id,) = walk.assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr,misc]
    for number in range(4):
        client.vector_stores.files.create_and_poll(
            vector_store_id=store_id,
            file_id=upload(client, f"cake-{number}.txt", f"Cake number {number}. {FOODS}"),
            poll_interval_ms=POLL,
        )

    def results(**options: Any) -> list[Any]:
        tools: Any = [{"type": "file_search", "file_search": options}]
        run = walk.run(walk.thread(script(FIND_CAKE)), tools=tools)
        found: list[Any] = walk.steps(run)[0].step_details.tool_calls[0].file_search.results
        return found

    assert len(results()) == 5
    assert len(results(max_num_results=2)) == 2
    scores = [result.score for result in results()]
    assert scores == sorted(scores, reverse=True)
    above = results(ranking_options={"score_threshold": scores[2]})
    assert 0 < len(above) < 5 or scores[2] == scores[-1]
    assert results(ranking_options={"score_threshold": 1.0}) == []


# --- where files come from


def test_an_attachment_makes_the_thread_s_store_and_the_run_waits_for_it(client: openai.OpenAI) -> None:
    walk = Walk(client, tools=[SEARCH])
    file_id = upload(client, "harbour.md", HARBOUR)
    thread = client.beta.threads.create(
        messages=[
            {
                "role": "user",
                "content": '/call file_search {"query": "Who dug the harbour of Trieste?"}',
                "attachments": [{"file_id": file_id, "tools": [SEARCH]}],
            }
        ]
    )
    # No waiting: the run does.
    run = walk.run(thread)
    assert "Pascal" in walk.answer(run)
    resources = client.beta.threads.retrieve(thread.id).tool_resources
    assert resources is not None
    assert resources.file_search is not None
    (store_id,) = resources.file_search.vector_store_ids or []
    store = client.vector_stores.retrieve(store_id)
    assert (store.expires_after.to_dict(), store.file_counts.completed) == (  # type: ignore[union-attr]
        {"anchor": "last_active_at", "days": 7},
        1,
    )
    # A later attachment goes into the same store.
    more = upload(client, "foods.txt", FOODS)
    message = client.beta.threads.messages.create(
        thread.id, role="user", content=FIND_CAKE, attachments=[{"file_id": more, "tools": [SEARCH]}]
    )
    assert [a.file_id for a in message.attachments or []] == [more]
    assert "cake" in walk.answer(walk.run(thread))
    assert client.vector_stores.retrieve(store_id).file_counts.total == 2


def test_helpers_make_stores_for_assistants_and_threads(client: openai.OpenAI, foods: str) -> None:
    harbour = upload(client, "harbour.md", HARBOUR)
    make: Any = {"file_search": {"vector_stores": [{"file_ids": [foods], "metadata": {"of": "assistant"}}]}}
    walk = Walk(client, tools=[SEARCH], tool_resources=make)
    (store_id,) = walk.assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr,misc]
    store = client.vector_stores.retrieve(store_id)
    assert (store.metadata, store.expires_after) == ({"of": "assistant"}, None)
    thread = walk.thread(
        script('/call file_search {"query": "Who dug the harbour of Trieste?"}', FIND_CAKE),
        tool_resources={"file_search": {"vector_stores": [{"file_ids": [harbour]}]}},
    )
    run = walk.run(thread)
    answer = walk.answer(run)
    assert "Pascal" in answer
    assert "cake" in answer


def test_a_deleted_store_is_detached(client: openai.OpenAI, walk: Walk) -> None:
    (store_id,) = walk.assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr,misc]
    assert client.vector_stores.delete(store_id).deleted
    resources = client.beta.assistants.retrieve(walk.assistant.id).tool_resources
    assert resources is not None
    assert resources.file_search is not None
    assert resources.file_search.vector_store_ids == []
    run = walk.run(walk.thread(script(FIND_CAKE)))
    assert walk.answer(run) == "RESULT: No files have been given to search in."


# --- what goes wrong is said


def test_resources_that_are_not_there_are_refused(client: openai.OpenAI, foods: str) -> None:
    gone: Any = {"file_search": {"vector_store_ids": ["vs_000000000000000000000000"]}}
    with pytest.raises(openai.NotFoundError, match=r"No vector store found with id 'vs_0{24}'"):
        client.beta.assistants.create(model="scripted", tools=[SEARCH], tool_resources=gone)
    with pytest.raises(openai.NotFoundError):
        client.beta.threads.create(tool_resources=gone)
    with pytest.raises(openai.BadRequestError, match="Expected an ID that begins with 'vs'"):
        client.beta.threads.create(tool_resources={"file_search": {"vector_store_ids": ["asst_1"]}})
    absent = "file-0000000000000000000000"
    with pytest.raises(openai.APIStatusError, match=absent):
        client.beta.threads.create(tool_resources={"code_interpreter": {"file_ids": [absent]}})
    thread = client.beta.threads.create()
    for tools in ([SEARCH], [{"type": "code_interpreter"}], []):
        attachment: Any = {"file_id": absent, "tools": tools}
        with pytest.raises(openai.APIStatusError, match=absent):
            client.beta.threads.messages.create(thread.id, role="user", content="x", attachments=[attachment])
    assert client.beta.threads.messages.list(thread.id).data == []
    picture: Any = [{"type": "image_file", "image_file": {"file_id": foods}}]
    with pytest.raises(openai.BadRequestError, match="Expected file type to be a supported format"):
        client.beta.threads.messages.create(thread.id, role="user", content=picture)


def test_a_file_that_cannot_be_read_says_why(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(name="broken")
    broken = client.files.create(file=("paper.pdf", b"%PDF-1.7 but no more"), purpose="assistants")
    done = client.vector_stores.files.create_and_poll(
        vector_store_id=store.id, file_id=broken.id, poll_interval_ms=POLL
    )
    assert done.status == "failed"
    assert done.last_error is not None
    assert done.last_error.code == "invalid_file"
    assert done.last_error.message
    store = client.vector_stores.retrieve(store.id)
    assert (store.status, store.file_counts.failed, store.usage_bytes) == ("completed", 1, 0)


def test_the_model_hears_of_the_thread_s_files_that_could_not_be_read(client: openai.OpenAI) -> None:
    """Else it would say that they do not tell, and the user would believe it."""
    walk = Walk(client, tools=[SEARCH])
    broken = client.files.create(file=("paper.pdf", b"%PDF-1.7 but no more"), purpose="assistants")
    thread = client.beta.threads.create(
        messages=[
            {
                "role": "user",
                "content": FIND_CAKE,
                "attachments": [{"file_id": broken.id, "tools": [SEARCH]}],
            }
        ]
    )
    answer = walk.answer(walk.run(thread))
    assert "No passage in the files fits this query." in answer
    assert "These files of the user could not be searched:\n- paper.pdf: " in answer


def test_a_run_that_is_told_to_search_without_the_tool_fails_and_says_so(wiretap: Wiretap, walk: Walk) -> None:
    api = Api(wiretap.url)
    run = walk.client.beta.threads.runs.create(
        thread_id=walk.thread(script(FIND_CAKE)).id, assistant_id=walk.assistant.id, tools=[WEATHER]
    )
    failed = until(api, run.to_dict(), "failed")
    assert failed["last_error"]["message"] == "The model called file_search, which is not among the tools of this run."
    assert api.get(f"{path_of(failed)}").ok["status"] == "failed"
