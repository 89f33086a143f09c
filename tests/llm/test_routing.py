"""Routes: what a file may say, which route a name takes, and what is wrong where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistd.llm import context_lengths
from assistd.llm.routing import Route, Routing, RoutingError, load_routes, single_route

FULL = """
[[routes]]
names = ["gpt-4o*", "o3-mini"]
base_url = "https://api.openai.com/v1"
api_key_env = "THE_KEY"

[[routes]]
names = ["small-?", "*"]
base_url = "http://user:pa%20ss@127.0.0.1:11434/v1/"
model = "llama3.2:3b"
context_length = 131072
tools = "constrained"
images = false
json_schema = true
usage = false
embeddings = false
reasoning_effort = false
max_tokens_field = "max_completion_tokens"
headers = { "X-Team" = "blue" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_says_everything_about_its_routes(tmp_path: Path) -> None:
    first, second = load_routes(write(tmp_path, FULL), {"THE_KEY": " sk-secret\n"})
    assert first == Route(
        patterns=("gpt-4o*", "o3-mini"),
        base_url="https://api.openai.com/v1",
        key="sk-secret",
        max_tokens_field="max_completion_tokens",
    )
    assert second == Route(
        patterns=("small-?", "*"),
        base_url="http://user:pa%20ss@127.0.0.1:11434/v1/",
        model="llama3.2:3b",
        context_length=131072,
        tools="constrained",
        images=False,
        usage=False,
        embeddings=False,
        reasoning_effort=False,
        max_tokens_field="max_completion_tokens",
        headers={"X-Team": "blue"},
    )


def test_the_first_route_that_matches_wins(tmp_path: Path) -> None:
    routes = load_routes(write(tmp_path, FULL), {"THE_KEY": "k"})
    routing = Routing(routes)
    assert routing.find("gpt-4o-mini") is routes[0]
    assert routing.find("o3-mini") is routes[0]
    assert routing.find("o3") is routes[1]
    assert Routing(routes[:1]).find("o3") is None


def test_pattern_matching_minds_case_and_whole_names() -> None:
    routing = Routing([Route(patterns=("gpt-4", "qwen-[12]"), base_url="http://h/v1")])
    assert routing.find("gpt-4") is not None
    assert routing.find("GPT-4") is None
    assert routing.find("gpt-4o") is None
    assert routing.find("qwen-2") is not None
    assert routing.find("qwen-3") is None


def test_every_listed_name_is_found_again(tmp_path: Path) -> None:
    routing = Routing(
        [
            Route(patterns=("gpt-4o*", "o3-mini"), base_url="http://h/v1", model="upstream-name"),
            Route(patterns=("fast-*",), base_url="http://h/v1", model="llama3"),
            Route(patterns=("any-*",), base_url="http://h/v1"),
            Route(patterns=("o3-mini",), base_url="http://h/v1"),
        ]
    )
    assert routing.names() == ["o3-mini", "llama3"]
    assert all(routing.find(name) for name in routing.names())


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("gpt-4o-mini-2024-07-18", 128_000),
        ("gpt-4.1-nano", 1_047_576),
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("gpt-4-turbo", 128_000),
        ("gpt-4-1106-preview", 128_000),
        ("gpt-3.5-turbo-0125", 16_385),
        ("gpt-5-mini", 400_000),
        ("o1", 200_000),
        ("o1-mini", 128_000),
        ("o3-mini", 200_000),
        ("openai/gpt-4o", 128_000),
        ("ft:gpt-4o-mini:acme::x1", 128_000),
        ("llama3.2:3b", 8_192),
        ("", 8_192),
    ],
)
def test_context_lengths_of_known_names(name: str, tokens: int) -> None:
    assert context_lengths.known(name) == tokens


def test_a_route_knows_the_context_of_what_it_serves() -> None:
    assert Route(patterns=("*",), base_url="http://h/v1").context_for("gpt-4o") == 128_000
    assert Route(patterns=("*",), base_url="http://h/v1", model="tiny").context_for("gpt-4o") == 8_192
    assert Route(patterns=("*",), base_url="http://h/v1", context_length=5).context_for("gpt-4o") == 5


def test_a_single_route_answers_for_every_name() -> None:
    route = single_route("http://127.0.0.1:8080/v1/", "secret-key", 4096)
    assert route.matches("anything/at:all")
    assert route.context_for("gpt-4o") == 4096
    assert route.url("chat/completions") == "http://127.0.0.1:8080/v1/chat/completions"
    assert route.request_headers() == {"Authorization": "Bearer secret-key"}
    assert route.max_tokens_field == "max_tokens"
    assert single_route("https://api.openai.com/v1").max_tokens_field == "max_completion_tokens"
    assert single_route("https://x.openai.azure.com/openai/v1").max_tokens_field == "max_completion_tokens"


def test_credentials_in_the_url_become_a_header_and_nothing_else() -> None:
    route = single_route("https://user:pa%20ss@models.example:8443/v1?version=3")
    assert route.host == "models.example:8443"
    assert route.url("embeddings") == "https://models.example:8443/v1/embeddings?version=3"
    assert route.request_headers() == {"Authorization": "Basic dXNlcjpwYSBzcw=="}
    assert "pa%20ss" not in repr(route)


def test_a_route_never_shows_its_secrets() -> None:
    route = Route(patterns=("*",), base_url="http://h/v1", key="sk-secret", headers={"api-key": "other-secret"})
    assert "secret" not in repr(route)


HEAD = '[[routes]]\nnames = ["a"]\nbase_url = "http://h/v1"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no [[routes]] table"),
        ("routes = []", "has no [[routes]] table"),
        ("[routes]\nnames = []", "has no [[routes]] table"),
        ("not toml", "cannot be read"),
        ("defaults = 1\n" + HEAD, "sets defaults"),
        ('[[routes]]\nbase_url = "http://h/v1"', "route 1: names must be a list"),
        ("[[routes]]\nnames = []", "route 1: names must be a list"),
        ("[[routes]]\nnames = [1]", "route 1: names must be a list"),
        ('[[routes]]\nnames = "a"', "route 1: names must be a list"),
        ('[[routes]]\nnames = ["a"]', "route 1 (a): base_url must be an address"),
        ('[[routes]]\nnames = ["a"]\nbase_url = "h/v1"', "route 1 (a): base_url must be an address"),
        ('[[routes]]\nnames = ["a"]\nbase_url = "ftp://h/v1"', "base_url must be an address"),
        ('[[routes]]\nnames = ["a"]\nbase_url = "http://h:x/v1"', "base_url must be an address"),
        ('[[routes]]\nnames = ["a"]\nbase_url = 1', "base_url must be a text"),
        (HEAD + HEAD + "contxt = 1", "route 2 (a): contxt is not known"),
        (HEAD + 'api_key = "sk-1"', "api_key is not known; name the variable that holds the key in api_key_env"),
        (HEAD + 'api_key_env = "NOT_SET"', "api_key_env names the environment variable NOT_SET, which is not set"),
        (HEAD + 'api_key_env = "BROKEN"', "BROKEN, which holds a line break"),
        (HEAD + "context_length = 0", "context_length must be a number of tokens"),
        (HEAD + "context_length = true", "context_length must be a number of tokens"),
        (HEAD + 'context_length = "8k"', "context_length must be a number of tokens"),
        (HEAD + 'tools = "maybe"', "tools must be one of native, constrained, none"),
        (HEAD + 'max_tokens_field = "n"', "max_tokens_field must be one of max_completion_tokens, max_tokens"),
        (HEAD + 'images = "yes"', "images must be true or false"),
        (HEAD + 'model = ""', "model must be a text that is not empty"),
        (HEAD + "headers = { a = 1 }", "headers must be a table of texts"),
        (HEAD + 'headers = { "a b" = "1" }', "headers holds 'a b', which cannot be an HTTP header"),
        (HEAD + 'headers = { a = "1\\n2" }', "headers holds 'a', which cannot be an HTTP header"),
        (HEAD + 'tools = "constrained"\njson_schema = false', "tools can be constrained only where json_schema"),
    ],
)
def test_every_fault_names_file_route_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RoutingError) as raised:
        load_routes(path, {"BROKEN": "a\nb"})
    assert words in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert str(raised.value).endswith(".")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RoutingError, match="cannot be read"):
        load_routes(tmp_path / "none.toml", {})


@pytest.mark.parametrize(("url", "key"), [("127.0.0.1:8080", ""), ("", ""), ("http://h/v1", "a\nb")])
def test_a_single_route_is_checked_too(url: str, key: str) -> None:
    with pytest.raises(RoutingError):
        single_route(url, key)
