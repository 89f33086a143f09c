"""Bodies that do not fit, each with its refusal: by object, in the order of the parameters."""

from __future__ import annotations

from typing import Any

from tests.faults.refusals import (
    empty_array,
    empty_string,
    long_key,
    missing,
    no_match,
    not_among,
    out_of_range,
    too_long,
    too_many,
    too_many_keys,
    unknown,
    wrong_type,
)
from tests.support.errors import Error


def function(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": function}


def tools(*tools: Any) -> dict[str, Any]:
    return {**MODEL, "tools": list(tools)}


def content(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


MODEL = {"model": "scripted"}
# Kinds of tools, roles, ... as a refusal lists them.
TOOLS = "'code_interpreter', 'file_search', and 'function'"
EFFORTS = "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"
PAIRS_17 = {f"key{n}": "" for n in range(17)}
LONG_KEY = "k" * 70

ASSISTANTS: list[tuple[Any, Error]] = [
    ({}, missing("model")),
    ({"model": None}, wrong_type("model", "a string", "null")),
    ({"model": ""}, empty_string("model")),
    ({"model": 4}, wrong_type("model", "a string", "an integer")),
    ({**MODEL, "modle": "x"}, unknown("modle")),
    ({**MODEL, "name": "n" * 257}, too_long("name", 256, 257)),
    ({**MODEL, "description": "d" * 513}, too_long("description", 512, 513)),
    ({**MODEL, "instructions": "i" * 256_001}, too_long("instructions", 256_000, 256_001)),
    ({**MODEL, "name": ["n"]}, wrong_type("name", "a string", "an array")),
    ({**MODEL, "temperature": 2.5}, out_of_range("temperature", "decimal", "above", "2", "2.5")),
    ({**MODEL, "temperature": 3}, out_of_range("temperature", "decimal", "above", "2", "3")),
    ({**MODEL, "temperature": -1}, out_of_range("temperature", "decimal", "below", "0", "-1")),
    ({**MODEL, "temperature": "1"}, wrong_type("temperature", "a decimal", "a string")),
    ({**MODEL, "temperature": True}, wrong_type("temperature", "a decimal", "a boolean")),
    ({**MODEL, "top_p": 1.01}, out_of_range("top_p", "decimal", "above", "1", "1.01")),
    ({**MODEL, "top_p": -0.1}, out_of_range("top_p", "decimal", "below", "0", "-0.1")),
    ({**MODEL, "reasoning_effort": "huge"}, not_among("reasoning_effort", "huge", EFFORTS)),
    (
        {**MODEL, "reasoning_effort": 1},
        wrong_type("reasoning_effort", f"one of {EFFORTS.replace('and', 'or')}", "an integer"),
    ),
    # tools
    ({**MODEL, "tools": {}}, wrong_type("tools", "an array of objects", "an object")),
    ({**MODEL, "tools": [{"type": "code_interpreter"}] * 129}, too_many("tools", 128, 129)),
    (tools("function"), wrong_type("tools[0]", "an object", "a string")),
    (tools(None), wrong_type("tools[0]", "an object", "null")),
    (tools({}), missing("tools[0].type")),
    (tools({"type": 1}), wrong_type("tools[0].type", f"one of {TOOLS.replace('and', 'or')}", "an integer")),
    (tools({"type": "retrieval"}), not_among("tools[0].type", "retrieval", TOOLS)),
    (tools({"type": "function"}), missing("tools[0].function")),
    (tools(function()), missing("tools[0].function.name")),
    (tools(function(name="f"), function(name=7)), wrong_type("tools[1].function.name", "a string", "an integer")),
    (tools(function(name="two words")), no_match("tools[0].function.name")),
    (tools(function(name="")), empty_string("tools[0].function.name")),
    (tools(function(name="f\n")), no_match("tools[0].function.name")),
    (tools(function(name="f" * 65)), too_long("tools[0].function.name", 64, 65)),
    (tools(function(name="f", args={})), unknown("tools[0].function.args")),
    (tools(function(name="f", parameters=[])), wrong_type("tools[0].function.parameters", "an object", "an array")),
    (tools(function(name="f", strict="yes")), wrong_type("tools[0].function.strict", "a boolean", "a string")),
    (tools({"type": "code_interpreter", "function": {}}), unknown("tools[0].function")),
    (
        {**MODEL, "tools": [{"type": "file_search", "file_search": {"max_num_results": 51}}]},
        out_of_range("tools[0].file_search.max_num_results", "integer", "above", "50", "51"),
    ),
    (
        {**MODEL, "tools": [{"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 1.5}}}]},
        out_of_range("tools[0].file_search.ranking_options.score_threshold", "decimal", "above", "1", "1.5"),
    ),
    # what the tools use
    (
        {**MODEL, "tool_resources": {"code_interpreter": {"file_ids": ["f"] * 21}}},
        too_many("tool_resources.code_interpreter.file_ids", 20, 21),
    ),
    (
        {**MODEL, "tool_resources": {"code_interpreter": {"file_ids": "file-1"}}},
        wrong_type("tool_resources.code_interpreter.file_ids", "an array of strings", "a string"),
    ),
    (
        {**MODEL, "tool_resources": {"code_interpreter": {"file_ids": [1]}}},
        wrong_type("tool_resources.code_interpreter.file_ids[0]", "a string", "an integer"),
    ),
    (
        {**MODEL, "tool_resources": {"file_search": {"vector_store_ids": ["vs_1", "vs_2"]}}},
        too_many("tool_resources.file_search.vector_store_ids", 1, 2),
    ),
    ({**MODEL, "tool_resources": {"browser": {}}}, unknown("tool_resources.browser")),
    # metadata
    ({**MODEL, "metadata": []}, wrong_type("metadata", "an object", "an array")),
    ({**MODEL, "metadata": "x"}, wrong_type("metadata", "an object", "a string")),
    ({**MODEL, "metadata": {"modified": True}}, wrong_type("metadata.modified", "a string", "a boolean")),
    ({**MODEL, "metadata": {"a": 1.5}}, wrong_type("metadata.a", "a string", "a decimal number")),
    ({**MODEL, "metadata": {"a": None}}, wrong_type("metadata.a", "a string", "null")),
    ({**MODEL, "metadata": {"a": {"b": "c"}}}, wrong_type("metadata.a", "a string", "an object")),
    ({**MODEL, "metadata": {"a": "v" * 513}}, too_long("metadata.a", 512, 513)),
    ({**MODEL, "metadata": PAIRS_17}, too_many_keys("metadata", 17)),
    ({**MODEL, "metadata": {LONG_KEY: "v"}}, long_key("metadata", LONG_KEY)),
    # answers' format
    ({**MODEL, "response_format": "json"}, not_among("response_format", "json", "'auto'")),
    ({**MODEL, "response_format": 1}, wrong_type("response_format", "one of 'auto' or object", "an integer")),
    ({**MODEL, "response_format": {}}, missing("response_format.type")),
    (
        {**MODEL, "response_format": {"type": "xml"}},
        not_among("response_format.type", "xml", "'text', 'json_object', and 'json_schema'"),
    ),
    ({**MODEL, "response_format": {"type": "json_schema"}}, missing("response_format.json_schema")),
    (
        {**MODEL, "response_format": {"type": "json_schema", "json_schema": {}}},
        missing("response_format.json_schema.name"),
    ),
    # which of several faults is told
    ({"modle": "x", "temperature": "hot"}, missing("model")),
    ({**MODEL, "temperature": "hot", "modle": "x"}, unknown("modle")),
    ({**MODEL, "temperature": "hot", "top_p": 7}, wrong_type("temperature", "a decimal", "a string")),
    (tools({"type": "function", "name": "f"}), missing("tools[0].function")),
    (tools({"type": "function", "function": {"name": 1, "args": 1}}), unknown("tools[0].function.args")),
    # not an object at all
    ([], Error(400, "Invalid type: expected an object, but got an array instead.", None, "invalid_type")),
    ("model", Error(400, "Invalid type: expected an object, but got a string instead.", None, "invalid_type")),
    (1.5, Error(400, "Invalid type: expected an object, but got a decimal number instead.", None, "invalid_type")),
]

TEXT = {"type": "text", "text": "a"}
HELLO = {"role": "user", "content": "hello"}
ROLES = "'user' and 'assistant'"
PARTS = "'text', 'image_url', and 'image_file'"

MESSAGES: list[tuple[Any, Error]] = [
    ({}, missing("role")),
    ({"role": "user"}, missing("content")),
    ({"content": "hello"}, missing("role")),
    ({"role": "human", "content": "x"}, not_among("role", "human", ROLES)),
    ({"role": "system", "content": "x"}, not_among("role", "system", ROLES)),
    ({"role": None, "content": "x"}, wrong_type("role", "one of 'user' or 'assistant'", "null")),
    ({"role": "user", "content": 1}, wrong_type("content", "one of a string or array of objects", "an integer")),
    ({"role": "user", "content": None}, wrong_type("content", "one of a string or array of objects", "null")),
    ({"role": "user", "content": []}, empty_array("content")),
    ({"role": "user", "content": "x" * 256_001}, too_long("content", 256_000, 256_001)),
    (content("x"), wrong_type("content[0]", "an object", "a string")),
    (content({"text": "x"}), missing("content[0].type")),
    (content({"type": "audio"}), not_among("content[0].type", "audio", PARTS)),
    (content({"type": "text"}), missing("content[0].text")),
    (content({"type": "text", "text": {"value": "x"}}), wrong_type("content[0].text", "a string", "an object")),
    (content({"type": "text", "text": "x" * 256_001}), too_long("content[0].text", 256_000, 256_001)),
    (content({"type": "image_url", "image_url": {}}), missing("content[0].image_url.url")),
    (
        content({"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "best"}}),
        not_among("content[0].image_url.detail", "best", "'auto', 'low', and 'high'"),
    ),
    (
        content({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://a.b/c.pdf"}}),
        Error(
            400,
            "Invalid 'content[1].image_url.url'. Expected url to end in a supported format: png, jpg, jpeg, gif, webp.",
            "content[1].image_url.url",
            "invalid_value",
        ),
    ),
    ({**HELLO, "file_ids": ["file-1"]}, unknown("file_ids")),
    ({"role": "user", "content": [TEXT] * 1001}, too_many("content", 1000, 1001)),
    ({"role": "user", "content": [TEXT] * 999 + [{**TEXT, "a": 1}]}, unknown("content[999].a")),
    ({**HELLO, "attachments": [{}] * 501}, too_many("attachments", 500, 501)),
    (
        {**HELLO, "attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}] * 21}]},
        too_many("attachments[0].tools", 20, 21),
    ),
    ({**HELLO, "attachments": {}}, wrong_type("attachments", "an array of objects", "an object")),
    ({**HELLO, "attachments": [{}]}, missing("attachments[0].file_id")),
    (
        {**HELLO, "attachments": [{"file_id": "file-1", "tools": [{"type": "function"}]}]},
        not_among("attachments[0].tools[0].type", "function", "'code_interpreter' and 'file_search'"),
    ),
    ({**HELLO, "metadata": {"modified": True}}, wrong_type("metadata.modified", "a string", "a boolean")),
]

THREADS: list[tuple[Any, Error]] = [
    ({"messages": [HELLO] * 33}, too_many("messages", 32, 33)),
    ({"messages": [HELLO] * 3000}, too_many("messages", 32, 3000)),
    ({"messages": {}}, wrong_type("messages", "an array of objects", "an object")),
    ({"messages": [HELLO, {"role": "user"}]}, missing("messages[1].content")),
    ({"messages": [HELLO, {"role": "human", "content": "x"}]}, not_among("messages[1].role", "human", ROLES)),
    ({"messages": [HELLO, HELLO, {**HELLO, "id": "msg_1"}]}, unknown("messages[2].id")),
    ({"messages": [content({})]}, missing("messages[0].content[0].type")),
    ({"metadata": PAIRS_17}, too_many_keys("metadata", 17)),
    ({"metadata": {LONG_KEY: ""}}, long_key("metadata", LONG_KEY)),
    ({"assistant_id": "asst_1"}, unknown("assistant_id")),
    (
        {"tool_resources": {"file_search": {"vector_stores": [{}, {}]}}},
        too_many("tool_resources.file_search.vector_stores", 1, 2),
    ),
    (
        {"tool_resources": {"file_search": {"vector_stores": [{"name": "n"}]}}},
        unknown("tool_resources.file_search.vector_stores[0].name"),
    ),
    (
        {"tool_resources": {"file_search": {"vector_stores": [{"chunking_strategy": {"type": "other"}}]}}},
        not_among("tool_resources.file_search.vector_stores[0].chunking_strategy.type", "other", "'auto' and 'static'"),
    ),
]


def chunked(size: Any, overlap: Any, **more: Any) -> dict[str, Any]:
    sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"chunking_strategy": {"type": "static", "static": sizes}, **more}


STATIC = "chunking_strategy.static"
POLICY: list[tuple[Any, Error]] = [
    ({"expires_after": 3}, wrong_type("expires_after", "an object", "an integer")),
    ({"expires_after": {"days": 3}}, missing("expires_after.anchor")),
    ({"expires_after": {"anchor": "last_active_at"}}, missing("expires_after.days")),
    (
        {"expires_after": {"anchor": "created_at", "days": 3}},
        not_among("expires_after.anchor", "created_at", "'last_active_at'"),
    ),
    (
        {"expires_after": {"anchor": "last_active_at", "days": 0}},
        out_of_range("expires_after.days", "integer", "below", "1", "0"),
    ),
    (
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        out_of_range("expires_after.days", "integer", "above", "365", "366"),
    ),
    ({"name": 1}, wrong_type("name", "a string", "an integer")),
    ({"metadata": PAIRS_17}, too_many_keys("metadata", 17)),
    ({"metadata": {LONG_KEY: ""}}, long_key("metadata", LONG_KEY)),
]

VECTOR_STORES: list[tuple[Any, Error]] = [
    *POLICY,
    ({"nmae": "x"}, unknown("nmae")),
    ({"file_ids": "file-1"}, wrong_type("file_ids", "an array of strings", "a string")),
    ({"file_ids": [1]}, wrong_type("file_ids[0]", "a string", "an integer")),
    ({"file_ids": ["file-1"] * 501}, too_many("file_ids", 500, 501)),
    ({"chunking_strategy": {}}, missing("chunking_strategy.type")),
    ({"chunking_strategy": {"type": "static"}}, missing(STATIC)),
    ({"chunking_strategy": {"type": "whole"}}, not_among("chunking_strategy.type", "whole", "'auto' and 'static'")),
    (chunked(99, 0), out_of_range(f"{STATIC}.max_chunk_size_tokens", "integer", "below", "100", "99")),
    (chunked(4097, 0), out_of_range(f"{STATIC}.max_chunk_size_tokens", "integer", "above", "4096", "4097")),
    (chunked(100, -1), out_of_range(f"{STATIC}.chunk_overlap_tokens", "integer", "below", "0", "-1")),
    (chunked("100", 0), wrong_type(f"{STATIC}.max_chunk_size_tokens", "an integer", "a string")),
    # Of overlaps, what is too much depends on the size; it is told when the files are looked at.
    (
        chunked(100, 51, file_ids=["file-none"]),
        Error(
            400,
            f"Invalid '{STATIC}.chunk_overlap_tokens': integer above maximum value. Expected a value <= 50 (half of "
            "max_chunk_size_tokens), but got 51 instead.",
            f"{STATIC}.chunk_overlap_tokens",
            "integer_above_max_value",
        ),
    ),
]

VECTOR_STORE: list[tuple[Any, Error]] = [*POLICY, ({"file_ids": []}, unknown("file_ids"))]

ATTRIBUTES: list[tuple[Any, Error]] = [
    ({"attributes": []}, wrong_type("attributes", "an object", "an array")),
    ({"attributes": PAIRS_17}, too_many_keys("attributes", 17)),
    ({"attributes": {LONG_KEY: 1}}, long_key("attributes", LONG_KEY)),
    ({"attributes": {"a": "v" * 513}}, too_long("attributes.a", 512, 513)),
]

STORE_FILE: list[tuple[Any, Error]] = [
    ({}, missing("attributes")),
    *ATTRIBUTES,
    ({"attributes": {}, "file_id": "file-1"}, unknown("file_id")),
]

FILE = {"file_id": "file-none"}
STORE_FILES: list[tuple[Any, Error]] = [
    ({}, missing("file_id")),
    ({"file_id": None}, wrong_type("file_id", "a string", "null")),
    ({**FILE, "file": "x"}, unknown("file")),
    *(({**FILE, **body}, error) for body, error in ATTRIBUTES),
    (chunked(99, 0, **FILE), out_of_range(f"{STATIC}.max_chunk_size_tokens", "integer", "below", "100", "99")),
]

BATCHES: list[tuple[Any, Error]] = [
    ({}, missing("file_ids")),
    ({"file_ids": None}, missing("file_ids")),
    ({"file_ids": []}, empty_array("file_ids")),
    ({"files": []}, empty_array("files")),
    ({"files": ["file-1"]}, wrong_type("files[0]", "an object", "a string")),
    ({"files": [FILE, {}]}, missing("files[1].file_id")),
    ({"file_ids": ["file-1"] * 2001}, too_many("file_ids", 2000, 2001)),
    ({"files": [FILE] * 2001}, too_many("files", 2000, 2001)),
    (
        {"file_ids": ["file-1"], "files": [FILE]},
        Error(
            400,
            "Mutually exclusive parameters: 'file_ids' and 'files'. Ensure you are only providing one of: "
            "'file_ids' or 'files'.",
            "files",
            "mutually_exclusive_parameters",
        ),
    ),
    *(({"file_ids": ["file-1"], **body}, error) for body, error in ATTRIBUTES),
]

QUERY = {"query": "x"}
SEARCHES: list[tuple[Any, Error]] = [
    ({}, missing("query")),
    ({"query": ""}, empty_string("query")),
    ({"query": []}, empty_array("query")),
    ({**QUERY, "max_num_results": 0}, out_of_range("max_num_results", "integer", "below", "1", "0")),
    ({**QUERY, "max_num_results": 51}, out_of_range("max_num_results", "integer", "above", "50", "51")),
    ({**QUERY, "rewrite_query": "yes"}, wrong_type("rewrite_query", "a boolean", "a string")),
    ({**QUERY, "filters": []}, wrong_type("filters", "an object", "an array")),
    ({**QUERY, "filters": {}}, missing("filters.type")),
    ({**QUERY, "filters": {"type": "eq", "value": 1}}, missing("filters.key")),
    ({**QUERY, "filters": {"type": "eq", "key": "a"}}, missing("filters.value")),
    ({**QUERY, "filters": {"type": "and"}}, missing("filters.filters")),
    (
        {**QUERY, "ranking_options": {"score_threshold": 1.5}},
        out_of_range("ranking_options.score_threshold", "decimal", "above", "1", "1.5"),
    ),
    (
        {**QUERY, "ranking_options": {"ranker": "best"}},
        not_among("ranking_options.ranker", "best", "'none', 'auto', and 'default-2024-11-15'"),
    ),
    ({**QUERY, "top_k": 3}, unknown("top_k")),
]

UPLOAD = {"filename": "a.txt", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain"}
UPLOADS: list[tuple[Any, Error]] = [
    ({}, missing("filename")),
    *(({k: v for k, v in UPLOAD.items() if k != name}, missing(name)) for name in UPLOAD),
    ({**UPLOAD, "bytes": "1"}, wrong_type("bytes", "an integer", "a string")),
    ({**UPLOAD, "bytes": 0}, out_of_range("bytes", "integer", "below", "1", "0")),
    (
        {**UPLOAD, "bytes": 2**33 + 1},
        out_of_range("bytes", "integer", "above", str(2**33), str(2**33 + 1)),
    ),
    ({**UPLOAD, "filename": ""}, empty_string("filename")),
    ({**UPLOAD, "mime_type": "t" * 256}, too_long("mime_type", 255, 256)),
    (
        {**UPLOAD, "purpose": "assistants_output"},
        not_among(
            "purpose",
            "assistants_output",
            "'fine-tune', 'assistants', 'batch', 'user_data', 'vision', and 'evals'",
        ),
    ),
    (
        {**UPLOAD, "expires_after": {"anchor": "created_at", "seconds": 3599}},
        out_of_range("expires_after.seconds", "integer", "below", "3600", "3599"),
    ),
    ({**UPLOAD, "file": "x"}, unknown("file")),
]

COMPLETE: list[tuple[Any, Error]] = [
    ({}, missing("part_ids")),
    ({"part_ids": "part_1"}, wrong_type("part_ids", "an array of strings", "a string")),
    ({"part_ids": []}, empty_array("part_ids")),
    ({"part_ids": [1]}, wrong_type("part_ids[0]", "a string", "an integer")),
    ({"part_ids": ["part_1"], "md5": 1}, wrong_type("md5", "a string", "an integer")),
    ({"part_ids": ["part_1"], "parts": 1}, unknown("parts")),
]

RUN = {"assistant_id": "asst_none"}

# What both ways of creating a run refuse.
RUNS: list[tuple[Any, Error]] = [
    ({}, missing("assistant_id")),
    ({"assistant_id": None}, wrong_type("assistant_id", "a string", "null")),
    ({"assistant_id": 1}, wrong_type("assistant_id", "a string", "an integer")),
    ({**RUN, "thread_id": "thread_1"}, unknown("thread_id")),
    ({**RUN, "stream": "true"}, wrong_type("stream", "a boolean", "a string")),
    ({**RUN, "stream": 1}, wrong_type("stream", "a boolean", "an integer")),
    ({**RUN, "max_prompt_tokens": 0}, out_of_range("max_prompt_tokens", "integer", "below", "1", "0")),
    ({**RUN, "max_prompt_tokens": 1.5}, wrong_type("max_prompt_tokens", "an integer", "a decimal number")),
    ({**RUN, "max_completion_tokens": True}, wrong_type("max_completion_tokens", "an integer", "a boolean")),
    (
        {**RUN, "max_completion_tokens": 2**31},
        out_of_range("max_completion_tokens", "integer", "above", str(2**31 - 1), str(2**31)),
    ),
    (
        {**RUN, "max_completion_tokens": 2**70},
        out_of_range("max_completion_tokens", "integer", "above", str(2**31 - 1), str(2**70)),
    ),
    ({**RUN, "truncation_strategy": "auto"}, wrong_type("truncation_strategy", "an object", "a string")),
    ({**RUN, "truncation_strategy": {}}, missing("truncation_strategy.type")),
    (
        {**RUN, "truncation_strategy": {"type": "first_messages"}},
        not_among("truncation_strategy.type", "first_messages", "'auto' and 'last_messages'"),
    ),
    (
        {**RUN, "truncation_strategy": {"type": "last_messages", "last_messages": 0}},
        out_of_range("truncation_strategy.last_messages", "integer", "below", "1", "0"),
    ),
    ({**RUN, "tool_choice": "always"}, not_among("tool_choice", "always", "'none', 'auto', and 'required'")),
    ({**RUN, "tool_choice": {"type": "function"}}, missing("tool_choice.function")),
    ({**RUN, "tool_choice": {"type": "function", "function": {}}}, missing("tool_choice.function.name")),
    (
        {**RUN, "tool_choice": []},
        wrong_type("tool_choice", "one of one of 'none', 'auto', or 'required' or object", "an array"),
    ),
    ({**RUN, "parallel_tool_calls": "no"}, wrong_type("parallel_tool_calls", "a boolean", "a string")),
    ({**RUN, "tools": [{"type": "retrieval"}]}, not_among("tools[0].type", "retrieval", TOOLS)),
    ({**RUN, "temperature": 2.1}, out_of_range("temperature", "decimal", "above", "2", "2.1")),
    ({**RUN, "metadata": PAIRS_17}, too_many_keys("metadata", 17)),
]

ON_A_THREAD: list[tuple[Any, Error]] = [
    *RUNS,
    ({**RUN, "thread": {}}, unknown("thread")),
    ({**RUN, "tool_resources": {}}, unknown("tool_resources")),
    ({**RUN, "additional_messages": [HELLO] * 501}, too_many("additional_messages", 500, 501)),
    ({**RUN, "additional_messages": {}}, wrong_type("additional_messages", "an array of objects", "an object")),
    ({**RUN, "additional_messages": [{"role": "user"}]}, missing("additional_messages[0].content")),
    (
        {**RUN, "additional_messages": [{"role": "human", "content": "x"}]},
        not_among("additional_messages[0].role", "human", ROLES),
    ),
]

WITH_A_THREAD: list[tuple[Any, Error]] = [
    *RUNS,
    ({**RUN, "additional_messages": []}, unknown("additional_messages")),
    ({**RUN, "thread": {"messages": [HELLO] * 33}}, too_many("thread.messages", 32, 33)),
    ({**RUN, "thread": []}, wrong_type("thread", "an object", "an array")),
    ({**RUN, "thread": {"messages": [{"role": "user"}]}}, missing("thread.messages[0].content")),
    (
        {**RUN, "thread": {"messages": [{"role": "human", "content": "x"}]}},
        not_among("thread.messages[0].role", "human", ROLES),
    ),
    ({**RUN, "thread": {"metadata": {"a": 1}}}, wrong_type("thread.metadata.a", "a string", "an integer")),
]

OUTPUTS: list[tuple[Any, Error]] = [
    ({}, missing("tool_outputs")),
    ({"tool_outputs": None}, wrong_type("tool_outputs", "an array of objects", "null")),
    ({"tool_outputs": [{}] * 1001}, too_many("tool_outputs", 1000, 1001)),
    ({"tool_outputs": {}}, wrong_type("tool_outputs", "an array of objects", "an object")),
    ({"tool_outputs": ["x"]}, wrong_type("tool_outputs[0]", "an object", "a string")),
    ({"tool_outputs": [{"output": "x"}]}, missing("tool_outputs[0].tool_call_id")),
    ({"tool_outputs": [{"tool_call_id": 1}]}, wrong_type("tool_outputs[0].tool_call_id", "a string", "an integer")),
    (
        {"tool_outputs": [{"tool_call_id": "call_1", "output": {"temperature": 20}}]},
        wrong_type("tool_outputs[0].output", "a string", "an object"),
    ),
    ({"tool_outputs": [], "steam": True}, unknown("steam")),
]

METADATA_ONLY: list[tuple[Any, Error]] = [
    ({"content": "x"}, unknown("content")),
    ({"metadata": {"modified": True}}, wrong_type("metadata.modified", "a string", "a boolean")),
    ({"metadata": PAIRS_17}, too_many_keys("metadata", 17)),
    ({"metadata": {LONG_KEY: ""}}, long_key("metadata", LONG_KEY)),
    ({"metadata": {"a": "v" * 513}}, too_long("metadata.a", 512, 513)),
]

COMPLETIONS: list[tuple[Any, Error]] = [
    ({}, missing("model")),
    ({"model": "m"}, missing("messages")),
    ({"model": "m", "messages": []}, empty_array("messages")),
    ({"model": "m", "messages": "hi"}, wrong_type("messages", "an array of objects", "a string")),
    ({"model": "m", "messages": ["hi"]}, wrong_type("messages[0]", "an object", "a string")),
    ({"model": 1, "messages": [{}]}, wrong_type("model", "a string", "an integer")),
    ({"model": "m", "messages": [{}], "stream": "yes"}, wrong_type("stream", "a boolean", "a string")),
]

EMBEDDINGS: list[tuple[Any, Error]] = [
    ({"input": "x"}, missing("model")),
    ({"model": "m"}, missing("input")),
    ({"model": "m", "input": []}, empty_array("input")),
    ({"model": "m", "input": 1}, wrong_type("input", "one of a string or array", "an integer")),
]
