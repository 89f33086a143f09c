"""Every setting: name, type, default, help. The CLI, the docs and the tests read this table.

Values come from the environment (`ASSISTD_NAME`), then from `assistd.toml` in
the working folder (or the file that `ASSISTD_CONFIG` names), then from the
default here. Only `app` and `cli` read settings; a room is handed values.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import platformdirs

from assistd.user_errors import UserError

PREFIX = "ASSISTD_"

# Variables that begin like ours and are no settings: the file's name, what the playground's exported programs and the
# page's development server read, and what steers the tests.
_OTHERS = re.compile(f"{PREFIX}(CONFIG|URL|API_KEY|TEST_.*)")

_DATA_DIR = Path(platformdirs.user_data_dir("assistd", appauthor=False))
_KINDS: dict[type, str] = {int: "a whole number", str: "a text", Path: "the path of a folder"}
_TYPES: dict[type, str] = {int: "integer", str: "text", Path: "path"}
_RANGES = {
    "port": (0, 65_535),
    "database_wait_seconds": (0, 86_400),
    "database_pool": (1, 1000),
    "model_context_length": (0, 1_000_000_000),
    "run_expires_seconds": (1, 1_000_000_000),
    "run_concurrency": (1, 1_000_000),
    "event_retention_seconds": (1, 1_000_000_000),
    "kept_prompt_bytes": (0, 100_000_000),
    "lease_seconds": (1, 86_400),
    "max_body_bytes": (1, 1_000_000_000),
    "body_memory_bytes": (1, 1_000_000_000_000),
    "stall_seconds": (1, 86_400),
    "ingest_concurrency": (0, 1000),
    "code_seconds": (1, 86_400),
    "code_memory_mb": (64, 1_000_000),
    "code_disk_mb": (1, 1_000_000),
    "code_idle_seconds": (1, 1_000_000_000),
    "code_sessions": (1, 10_000),
    "code_sessions_per_project": (1, 10_000),
    "code_warm_sessions": (0, 1000),
}

_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("auto", "text", "json"),
    "sandbox": ("bubblewrap", "gvisor", "off"),
}


# As browsers send it; `*` is any.
_ORIGIN = re.compile(r"(?:https?://[^\s/?#@*]+|\*)\Z")


class SettingsError(UserError):
    """A setting is unknown, or has a value that it cannot have; the message says which and what would do."""


def _setting(default: Any, help: str, shown: str = "") -> Any:
    """Describe a setting; `shown` is how the reference shows a default that differs between machines."""
    return field(default=default, metadata={"help": help, "shown": shown or f"`{default}`"})


@dataclass(frozen=True)
class Settings:
    """All settings of one process, resolved and checked."""

    host: str = _setting("127.0.0.1", "Address to listen on. Anything but loopback needs an API key first.")
    port: int = _setting(8000, "Port to listen on; 0 takes a free one.")
    data_dir: Path = _setting(
        _DATA_DIR,
        "Folder for the embedded PostgreSQL, uploaded files, fetched models and the code interpreter.",
        shown="the user's data folder: `~/.local/share/assistd` on Linux",
    )
    database_url: str = _setting("", "PostgreSQL 15+ with pgvector. Empty: an own one under DATA_DIR.")
    database_wait_seconds: int = _setting(
        60, "How long a start waits for a PostgreSQL that is away or takes no connections yet."
    )
    database_pool: int = _setting(16, "Connections each process keeps to PostgreSQL at most.")
    model_base_url: str = _setting(
        "", "Chat Completions endpoint for every model name; `scripted:` is the scripted model. Empty: the local model."
    )
    model_api_key: str = _setting("", "Key sent to MODEL_BASE_URL.")
    model_context_length: int = _setting(
        0, "Tokens the model behind MODEL_BASE_URL can take. 0: known names by table, others 8192."
    )
    models_file: str = _setting("", "TOML file of model routes; replaces MODEL_BASE_URL.")
    local_model: str = _setting("", "Pulled model that serve runs. Empty: the one pulled last, else SmolLM2-135M.")
    blob_url: str = _setting(
        "", "Object store for uploaded files, such as `s3://bucket/prefix`. Empty: the folder `blobs` under DATA_DIR."
    )
    embedding_model: str = _setting(
        "", "Model that new vector stores embed with, by a route's `/embeddings`. Empty: static vectors, no server."
    )
    ingest_concurrency: int = _setting(
        0, "Files that one process reads for vector stores at the same time. 0: a core each."
    )
    sandbox: str = _setting("bubblewrap", "Walls of the code interpreter: bubblewrap, gvisor (`runsc`), or off.")
    interpreter_dir: str = _setting(
        "", "Folder of the Python that the code interpreter runs code in. Empty: `interpreter` under DATA_DIR."
    )
    code_seconds: int = _setting(120, "Longest time one piece of code runs before it is interrupted.")
    code_memory_mb: int = _setting(1024, "Memory of one code interpreter session, in MB.")
    code_disk_mb: int = _setting(512, "Room in `/mnt/data` of one session, in MB; it is kept in memory.")
    code_idle_seconds: int = _setting(3600, "How long a session and its variables are kept after their last use.")
    code_sessions: int = _setting(20, "Code interpreter sessions that one process keeps at most.")
    code_sessions_per_project: int = _setting(10, "Of these, sessions of one project at most.")
    code_warm_sessions: int = _setting(1, "Sessions kept ready for new threads, once code was run.")
    run_expires_seconds: int = _setting(600, "Life of a run from its creation, waiting for outputs included.")
    run_concurrency: int = _setting(1000, "Runs that one process executes at the same time.")
    event_retention_seconds: int = _setting(
        7 * 86_400, "How long the stream of an ended run can be replayed, in seconds."
    )
    kept_prompt_bytes: int = _setting(
        1024 * 1024,
        "Longest request to a model that is kept to be looked at, as long as streams are; longer ones are shortened. "
        "0: none is kept.",
    )
    lease_seconds: int = _setting(15, "A worker silent for this long has its runs taken over.")
    max_body_bytes: int = _setting(32 * 1024 * 1024, "Largest request body in bytes.")
    cors_origins: str = _setting(
        "",
        "Origins of pages elsewhere that may use the API from a browser, with a key: `https://app.example.com`, "
        "several with commas between, or `*` for any.",
    )
    trusted_proxies: str = _setting(
        "",
        "Addresses or networks of the reverse proxies before this server, such as `127.0.0.1,10.0.0.0/8`: what they "
        "say of a client's address in `X-Forwarded-For` is believed.",
    )
    body_memory_bytes: int = _setting(
        256 * 1024 * 1024,
        "Bytes of large request bodies that one process holds at the same time, half of them for one project at most; "
        "others wait.",
    )
    stall_seconds: int = _setting(
        30, "A client that stops for this long while it sends a body, or takes an answer, is given up."
    )
    log_level: str = _setting("info", "debug, info, warning or error.")
    log_format: str = _setting(
        "auto",
        "text, json, or auto: text on a terminal and for commands that answer and end, else json. json also holds for "
        "what `serve` writes to standard output.",
    )

    def listed(self, name: str) -> list[str]:
        """Return the parts of a setting that has several, with commas between."""
        return [part.strip() for part in getattr(self, name).split(",") if part.strip()]


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Resolve the settings. `overrides` (command-line options) win; None in them means not given.

    Raises SettingsError for an unknown name in the environment or in `assistd.toml`, an unreadable file or a wrong
    value.
    """
    env = _without_kubernetes(os.environ if environ is None else environ)
    _refuse_unknown(env)
    found = _read_file(env)
    types = get_type_hints(Settings)
    for name in types:
        value = env.get(PREFIX + name.upper())
        if value is not None and value != "":
            found[name] = value
    found.update({k: v for k, v in overrides.items() if v is not None})
    return _check(Settings(**{name: _convert(name, value, types[name]) for name, value in found.items()}))


def _refuse_unknown(env: Mapping[str, str]) -> None:
    """Refuse what begins like a setting and is none: a typo must not leave the default in force."""
    known = [PREFIX + f.name.upper() for f in fields(Settings)]
    for name, value in sorted(env.items()):
        is_ours = name.upper().startswith(PREFIX) and value != ""
        if is_ours and name not in known and not _OTHERS.fullmatch(name):
            raise SettingsError(
                f"The environment sets {name}, which assistd does not know.{_meant(name.upper(), known)}"
            )


def _meant(name: str, known: Iterable[str]) -> str:
    """A sentence, after a space, that suggests the known name most like this one; empty where none is."""
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f" Did you mean {alike[0]}?" if alike else " Every setting stands in docs/reference/settings.md."


def _without_kubernetes(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without the addresses of services that Kubernetes puts into every container.

    A service named `assistd` has ASSISTD_SERVICE_HOST and ASSISTD_PORT=tcp://..., one named `assistd-db`
    ASSISTD_DB_SERVICE_HOST and so on: the names are ours, and the values are not for us.
    """
    services = [name.removesuffix("SERVICE_HOST") for name in env if re.fullmatch("ASSISTD_.*SERVICE_HOST", name)]
    named = [
        re.escape(service) + r"(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_[A-Z]+(_[A-Z]+)?)" for service in services
    ]
    ports = {service + "PORT" for service in services}
    return {
        name: value
        for name, value in env.items()
        if not (any(re.fullmatch(pattern, name) for pattern in named) or (name in ports and "://" in value))
    }


def _read_file(env: Mapping[str, str]) -> dict[str, Any]:
    path = Path(env.get(PREFIX + "CONFIG") or "assistd.toml")
    if not path.exists():
        if env.get(PREFIX + "CONFIG"):
            raise SettingsError(f"{PREFIX}CONFIG names {path}, which does not exist.")
        return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise SettingsError(f"{path} cannot be read: {fault}") from fault
    known = [f.name for f in fields(Settings)]
    lowered = {key.lower().removeprefix(PREFIX.lower()): value for key, value in values.items()}
    if unknown := sorted(set(lowered) - set(known)):
        meant = _meant(unknown[0], known) if len(unknown) == 1 else ""
        raise SettingsError(f"{path} sets {', '.join(unknown)}, which assistd does not know.{meant}")
    return lowered


def _convert(name: str, value: Any, kind: type) -> Any:
    """Make a value of its text or of what TOML gave. TOML's own types count: `port = true` is not port 1."""
    try:
        if kind is int and (isinstance(value, str) or type(value) is int):
            return int(value)
        if kind is Path and isinstance(value, str | Path) and str(value).strip():
            return Path(value).expanduser()
        if kind is str and isinstance(value, str):
            return value
    except (ValueError, RuntimeError):  # not a number; `~name` of nobody
        pass
    raise SettingsError(f"{PREFIX}{name.upper()} is {value!r}; it must be {_KINDS[kind]}.")


def _check(settings: Settings) -> Settings:
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(settings, name) <= most:
            raise SettingsError(
                f"{PREFIX}{name.upper()} is {getattr(settings, name)}; it must be between {least} and {most}."
            )
    if not settings.host.strip():  # to the system, no address means every address
        raise SettingsError(f"{PREFIX}HOST is empty; it must be an address, for example 127.0.0.1.")
    if settings.database_url and not _is_database_url(settings.database_url):
        # The value is not shown: it may hold a password.
        raise SettingsError(f"{PREFIX}DATABASE_URL must look like postgresql://user:password@host:5432/database.")
    for origin in settings.listed("cors_origins"):
        if not _ORIGIN.match(origin):
            raise SettingsError(
                f"{PREFIX}CORS_ORIGINS has {origin!r}; an origin looks like https://app.example.com, without a path."
            )
    for network in settings.listed("trusted_proxies"):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise SettingsError(
                f"{PREFIX}TRUSTED_PROXIES has {network!r}; it must be an address or a network, such as 10.0.0.0/8."
            ) from None
    if settings.event_retention_seconds < settings.run_expires_seconds:
        raise SettingsError(
            f"{PREFIX}EVENT_RETENTION_SECONDS is {settings.event_retention_seconds}; it must be at least "
            f"{PREFIX}RUN_EXPIRES_SECONDS, which is {settings.run_expires_seconds}."
        )
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            *others, last = choices
            raise SettingsError(
                f"{PREFIX}{name.upper()} is {getattr(settings, name)!r}; it must be {', '.join(others)} or {last}."
            )
    return settings


def _is_database_url(value: str) -> bool:
    """Whether it has the scheme, and ports that are numbers: a password with a bare `/` or `#` looks like a port."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    places = parts.netloc.rpartition("@")[2].split(",")
    ports = [port for _, colon, port in (place.rpartition(":") for place in places) if colon and "]" not in port]
    return parts.scheme in ("postgresql", "postgres") and all(port.isdecimal() or not port for port in ports)


# --- the reference page

_PAGE = """\
# Settings

<!-- Made by `python -m assistd.settings`; change the table in src/assistd/settings.py instead. -->

A setting is an environment variable (`ASSISTD_PORT=8080`) or a line of `assistd.toml` in the folder where assistd is
started (`port = 8080`). The environment wins over the file, and an option of the command line (`--data-dir`, `--host`,
`--port`, `--log-level`) wins over both. `ASSISTD_CONFIG` names another file. An empty variable counts as not set.

A name that assistd does not know, in the environment or in the file, or a value that cannot be, stops the start with a
sentence that says so. Of the variables that begin with `ASSISTD_`, only `ASSISTD_URL`, `ASSISTD_API_KEY` and
`ASSISTD_TEST_*`, which clients and tests read, and the addresses of services that Kubernetes sets are passed over.

| Variable | In `assistd.toml` | Type | Default | What it is |
| --- | --- | --- | --- | --- |
"""


def reference() -> str:
    """Return the page docs/reference/settings.md, as Markdown."""
    types = get_type_hints(Settings)
    rows = [
        f"| `{PREFIX}{f.name.upper()}` | `{f.name}` | {_TYPES[types[f.name]]} "
        f"| {'' if f.default == '' else f.metadata['shown']} | {f.metadata['help']} |\n"
        for f in fields(Settings)
    ]
    return _PAGE + "".join(rows)


if __name__ == "__main__":
    print(reference(), end="")
