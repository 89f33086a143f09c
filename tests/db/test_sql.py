from __future__ import annotations

import ast
from pathlib import Path

import pytest

import assistd
from assistd.db import sql
from assistd.db.sql import SqlError, UnknownQuery

GOOD = """
-- Queries of a test.

-- name: get_thing
-- The thing; $1 is its id.
-- Twice as long.
SELECT *
FROM things  -- all of it
WHERE id = $1;

--name:  list_things
SELECT * FROM things
"""


def test_statements_and_their_documentation():
    queries = sql.parse(GOOD, "here")
    assert dict(queries) == {
        "get_thing": "SELECT *\nFROM things  -- all of it\nWHERE id = $1",
        "list_things": "SELECT * FROM things",
    }
    assert queries.docs == {"get_thing": "The thing; $1 is its id.\nTwice as long.", "list_things": ""}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "line 3: there is a query a already"),
        ("SELECT 1\n-- name: a\nSELECT 2", "line 1: SQL before the first name"),
        ("-- name: a\n-- name: b\nSELECT 2", "line 1: the query a is empty"),
        ("-- name: a\n-- only words\n;", "line 1: the query a is empty"),
        ("-- name: Get-It\nSELECT 1", "'Get-It' is no name"),
        ("-- name:\nSELECT 1", "'' is no name"),
        ("-- nothing", "no query"),
    ],
)
def test_faults_are_told_with_their_place(text, fault):
    with pytest.raises(SqlError, match=fault):
        sql.parse(text, "here")


def test_an_unknown_name_says_which_there_are():
    queries = sql.parse(GOOD, "here")
    with pytest.raises(UnknownQuery, match=r"here has no query 'get_thin'\. It has: get_thing, list_things\."):
        queries["get_thin"]
    assert "get_thin" not in queries


def test_files_and_packages(tmp_path):
    (tmp_path / "queries.sql").write_text(GOOD)
    assert set(sql.load(tmp_path / "queries.sql")) == {"get_thing", "list_things"}
    with pytest.raises(SqlError, match="No named SQL in"):
        sql.load(tmp_path / "other.sql")
    with pytest.raises(SqlError, match="No named SQL in json"):
        sql.load("json")
    with pytest.raises(SqlError, match="this module is in none"):
        sql.load(None)


def test_every_query_of_the_program_exists_and_is_used():
    """A wrong name in `SQL["name"]` would show itself only when the line runs."""
    package = Path(assistd.__file__).parent
    used: dict[Path, set[str]] = {}
    for module in package.rglob("*.py"):
        tree = ast.parse(module.read_text("utf-8"))
        for file in _loaded_files(tree, module.parent):
            names = _names(tree)
            assert names <= set(sql.load(file)), f"{module} uses a query that {file.name} does not have"
            used.setdefault(file, set()).update(names, _strings(tree))
    assert len(used) > 1
    for file, words in used.items():
        # A helper may be handed the beginning of a name: "list" for list_asc and list_desc.
        idle = {n for n in sql.load(file) if not any(n == w or n.startswith(f"{w}_") for w in words)}
        assert not idle, f"nothing uses {idle} of {file}"
    everything = {path for path in package.rglob("*.sql") if path.parent.name not in ("db", "migrations")}
    assert everything == set(used)


def _loaded_files(tree: ast.Module, folder: Path) -> list[Path]:
    """What `sql.load(__package__)` and `sql.load(Path(__file__).with_name("x.sql"))` load in the module."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "sql.load"]
    named = [[n.value for n in ast.walk(call) if isinstance(n, ast.Constant)] for call in calls]
    return [folder / (names[0] if names else "queries.sql") for names in named]


def _names(tree: ast.Module) -> set[str]:
    """The x of every `SQL["x"]`."""
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "SQL"]
    return {node.slice.value for node in uses if isinstance(node.slice, ast.Constant)}


def _strings(tree: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
