"""The command line: serve, worker, migrate, keys, models, interpreter, doctor."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from assistd import __version__, database, settings, telemetry
from assistd.db import migrate
from assistd.db.faults import reason_of
from assistd.db.waiting import words_of
from assistd.settings import Settings
from assistd.user_errors import UserError
from assistd.web import keys

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    _Run = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]

# Settings that are options of the command line, too.
_OPTIONS = ("data_dir", "host", "port", "log_level")

_DESCRIPTION = """\
assistd serves the Assistants API (assistants, threads, messages, runs) on your own machine.

Without any setting it runs its own PostgreSQL and a small local model. Settings are environment
variables (ASSISTD_PORT, ASSISTD_MODEL_BASE_URL, ...) or lines of assistd.toml; see docs/reference/settings.md."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 for a fault told in a sentence, 2 for a wrong call."""
    arguments = _parser().parse_args(argv)
    people = arguments.run not in (_serve, _worker)
    telemetry.configure("info", _format_before_settings(), people=people)
    try:
        config = settings.load(**{name: getattr(arguments, name, None) for name in _OPTIONS})
        telemetry.configure(config.log_level, config.log_format, people=people)
        return _run(arguments.run(config, arguments))
    except UserError as fault:
        telemetry.say(str(fault))
    except KeyboardInterrupt:
        telemetry.say("interrupted")
    except Exception as fault:
        if reason_of(fault) is None and not isinstance(fault, asyncpg.PostgresError | asyncpg.InterfaceError):
            raise
        telemetry.say(f"the database cannot be used: {words_of(fault)} ({database.name_of(config)})")
    return 1


def _format_before_settings() -> str:
    """The form of the log for whatever is wrong with the settings themselves."""
    format = os.environ.get(settings.PREFIX + "LOG_FORMAT", "")
    return format if format in ("text", "json") else "auto"


def _run(command: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:  # Windows has none
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(command)


# --- the commands: each imports what it alone needs, so that no other one waits for that


async def _serve(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd import serving

    return await serving.serve(config, processes=arguments.workers, shared_port=arguments.shared_port)


async def _worker(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd import serving

    return await serving.work(config)


async def _migrate(config: Settings, arguments: argparse.Namespace) -> int:
    async with database.connect(config) as conn:
        for migration in (await migrate.status(conn)).pending:
            print(f"pending: {migration.version:04} {migration.name}")
        if arguments.dry_run:
            return 0
        await migrate.migrate(conn)
        await migrate.check(conn)
    print("The schema is up to date.")
    return 0


async def _create_key(config: Settings, arguments: argparse.Namespace) -> int:
    async with database.connect(config, migrated=True) as conn, conn.transaction():
        key = await keys.create(conn, arguments.name, arguments.project)
    print(key)
    print("This is the only time that the key is shown. Give it to clients as OPENAI_API_KEY.", file=sys.stderr)
    return 0


async def _list_keys(config: Settings, arguments: argparse.Namespace) -> int:
    async with database.connect(config, migrated=True) as conn:
        found = await keys.list_all(conn)
    for key in found:
        created = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        state = "revoked" if key.revoked_at else "valid"
        print(f"{key.id}  {key.hint:16}  {key.project:16}  {created}  {state:8}  {key.name}")
    if not found:
        print("No keys. While there are none, any key is let in from this machine.", file=sys.stderr)
    return 0


async def _revoke_key(config: Settings, arguments: argparse.Namespace) -> int:
    async with database.connect(config, migrated=True) as conn:
        if await keys.revoke(conn, arguments.id):
            print(f"{arguments.id} is revoked.")
            return 0
    if arguments.id.startswith("sk-"):  # the key itself, which no log or terminal should repeat
        telemetry.say("that is a key, not a key's id. `assistd keys list` shows the ids.")
    else:
        telemetry.say(f"there is no valid key {arguments.id}.")
    return 1


async def _pull(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd.llm import store as model_store

    pulled = await model_store.pull(config.data_dir, arguments.source, sha256=arguments.sha256)
    print(f"{pulled.name} is ready; `assistd serve` uses it from now on.")
    return 0


async def _list_models(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd.llm import store as model_store

    found = model_store.list_models(config.data_dir)
    for model in found:
        print(f"{model.name:48}  {model.size / 1e6:9.1f} MB  {model.source}")
    if not found:
        print("No model was pulled yet; `assistd serve` fetches a small one.", file=sys.stderr)
    return 0


async def _remove_model(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd.llm import store as model_store

    model_store.remove(config.data_dir, arguments.name)
    print(f"{arguments.name} is removed.")
    return 0


async def _install_interpreter(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd.app import interpreter_folder
    from assistd.fetching.progress import console_progress
    from assistd.sandbox import interpreter

    found = await interpreter.ensure(interpreter_folder(config), console_progress())
    print(f"{found.root} is ready: {found.size() / 1e6:.0f} MB.")
    return 0


async def _doctor(config: Settings, arguments: argparse.Namespace) -> int:
    from assistd.doctor import examine

    return await examine(config)


# --- how they are called


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "assistd", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"assistd {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = _command(commands, "serve", _serve, "serve the API and execute runs")
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (default 8000; 0 takes a free one)")
    serve.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="processes that share the port (default 1)"
    )
    serve.add_argument("--log-level", help="debug, info, warning or error (default info)")
    serve.add_argument("--shared-port", action="store_true", help=argparse.SUPPRESS)

    worker = _command(commands, "worker", _worker, "only execute runs, for a server elsewhere on the same database")
    worker.add_argument("--log-level", help="debug, info, warning or error (default info)")

    migrating = _command(commands, "migrate", _migrate, "bring the database's schema up to date")
    migrating.add_argument("--dry-run", action="store_true", help="only show what would be done")

    _add_keys(commands.add_parser("keys", help="create, list and revoke API keys"))
    _add_models(commands.add_parser("models", help="pull, list and remove models for the local model server"))

    interpreters = commands.add_parser("interpreter", help="build what the code interpreter runs code in")
    actions = interpreters.add_subparsers(title="actions", metavar="ACTION", required=True)
    _command(actions, "install", _install_interpreter, "build it ahead of time, where it is missing")

    _command(commands, "doctor", _doctor, "examine this installation and say what is amiss")
    return parser


def _command(commands: _Commands, name: str, run: _Run, help: str) -> argparse.ArgumentParser:
    """Add a command that runs `run`, with the options that every command has."""
    parser = commands.add_parser(name, help=help)
    parser.add_argument("--data-dir", metavar="FOLDER", help="where assistd keeps its data (ASSISTD_DATA_DIR)")
    parser.set_defaults(run=run)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = _command(actions, "create", _create_key, "make a key and show it, once")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--project", default="default", help="the project it opens; made if it is new")
    _command(actions, "list", _list_keys, "list all keys")
    revoke = _command(actions, "revoke", _revoke_key, "make a key void")
    revoke.add_argument("id", help="the key's id, as `keys list` shows it")


def _add_models(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    pull = _command(actions, "pull", _pull, "fetch a model in GGUF form")
    pull.add_argument("source", metavar="NAME|URL|FILE", help="owner/repo/file.gguf of a hub, an address, or a file")
    pull.add_argument("--sha256", help="what the file's SHA-256 must be")
    _command(actions, "list", _list_models, "list what was pulled")
    remove = _command(actions, "remove", _remove_model, "delete a pulled model")
    remove.add_argument("name", help="the model's name, as `models list` shows it")


if __name__ == "__main__":
    sys.exit(main())
