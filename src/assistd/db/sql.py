"""Named SQL: the statements of a store, in a `queries.sql` beside it.

    -- name: get_run
    -- The run with its lease; $1 is its id.
    SELECT * FROM runs WHERE id = $1

Comments right below a name are its documentation; everything up to the next name is the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

_FILE = "queries.sql"
_NAME = re.compile(r"--\s*name:\s*(.*?)\s*$")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


class SqlError(Exception):
    """A file of named SQL is missing or wrong; the message says where."""


class UnknownQuery(SqlError, KeyError):
    """A name that the file does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


class Queries(Mapping[str, str]):
    """The statements of one file by name. An unknown name raises UnknownQuery."""

    def __init__(self, origin: str, statements: Mapping[str, str], docs: Mapping[str, str]) -> None:
        self.origin = origin
        self.docs = docs
        self._statements = statements

    def __getitem__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            known = ", ".join(sorted(self._statements))
            raise UnknownQuery(f"{self.origin} has no query {name!r}. It has: {known}.") from None

    def __contains__(self, name: object) -> bool:
        return name in self._statements

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


def load(source: str | Path | None) -> Queries:
    """The `queries.sql` of a package (`load(__package__)`), or the file at a path. Raises SqlError."""
    if not source:
        raise SqlError("Named SQL belongs to a package; this module is in none.")
    try:
        file = source if isinstance(source, Path) else resources.files(source) / _FILE
        return parse(file.read_text("utf-8"), str(source) if isinstance(source, Path) else f"{source}/{_FILE}")
    except (OSError, ModuleNotFoundError) as fault:
        raise SqlError(f"No named SQL in {source}: {fault}") from fault


def parse(text: str, origin: str) -> Queries:
    """Named statements out of a text; `origin` is how errors call it. Raises SqlError with the line."""
    statements: dict[str, str] = {}
    docs: dict[str, str] = {}
    blocks = list(_blocks(text, origin))
    for number, name, lines in blocks:
        where = f"{origin}, line {number}"
        if not _IDENTIFIER.fullmatch(name):
            raise SqlError(f"{where}: {name!r} is no name; use small letters, digits and underscores.")
        if name in statements:
            raise SqlError(f"{where}: there is a query {name} already.")
        doc = _leading_comments(lines)
        statement = "\n".join(lines[len(doc) :]).strip().removesuffix(";").rstrip()
        if all(not line.strip() or line.strip().startswith("--") for line in statement.splitlines()):
            raise SqlError(f"{where}: the query {name} is empty.")
        statements[name] = statement
        docs[name] = "\n".join(line.strip().lstrip("-").strip() for line in doc)
    if not statements:
        raise SqlError(f"{origin}: no query; a query begins with a line `-- name: get_thing`.")
    return Queries(origin, statements, docs)


def _blocks(text: str, origin: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line number, name, lines below it) of each block."""
    number, name, lines = 0, None, list[str]()
    for at, line in enumerate(text.splitlines(), 1):
        if (found := _NAME.match(line.strip())) is not None:
            if name is not None:
                yield number, name, lines
            number, name, lines = at, found[1], []
        elif name is not None:
            lines.append(line)
        elif line.strip() and not line.strip().startswith("--"):
            raise SqlError(f"{origin}, line {at}: SQL before the first name.")
    if name is not None:
        yield number, name, lines


def _leading_comments(lines: list[str]) -> list[str]:
    for at, line in enumerate(lines):
        if not line.strip().startswith("--"):
            return lines[:at]
    return lines
