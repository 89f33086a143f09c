"""Every setting: name, type, default, help. The CLI, the docs and the tests read this table.

Values come from the environment (`ASSISTD_NAME`), then from `assistd.toml` in
the working folder (or the file that `ASSISTD_CONFIG` names), then from the
default here. Only `app` and `cli` read settings; a room is handed values.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import platformdirs

PREFIX = "ASSISTD_"
_DATA_DIR = Path(platformdirs.user_data_dir("assistd", appauthor=False))


class SettingsError(Exception):
    """A setting has a value it cannot have; the message says which and what would do."""


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """All settings of one process, resolved and checked."""

    host: str = _setting("127.0.0.1", "Address to listen on. Anything but loopback needs an API key first.")
    port: int = _setting(8000, "Port to listen on; 0 takes a free one.")
    data_dir: Path = _setting(_DATA_DIR, "Folder for the embedded PostgreSQL, fetched models and blobs.")
    database_url: str = _setting("", "PostgreSQL 15+ with pgvector. Empty: an own one under DATA_DIR.")
    database_pool: int = _setting(16, "Connections each process keeps to PostgreSQL at most.")
    blob_url: str = _setting("", "Where file contents go (a folder or an S3 URL). Empty: under DATA_DIR.")
    model_base_url: str = _setting("", "Chat Completions endpoint for every model name. Empty: the local model.")
    model_api_key: str = _setting("", "Key sent to MODEL_BASE_URL.")
    model_context_length: int = _setting(
        0, "Tokens the model behind MODEL_BASE_URL can take. 0: known names by table, others 8192."
    )
    models_file: str = _setting("", "TOML file of model routes; replaces MODEL_BASE_URL.")
    local_model: str = _setting("", "Pulled model that serve runs. Empty: the one pulled last, else SmolLM2-135M.")
    run_expires_seconds: int = _setting(600, "Life of a run from its creation, waiting for outputs included.")
    run_concurrency: int = _setting(1000, "Runs that one process executes at the same time.")
    event_retention_seconds: int = _setting(
        7 * 86_400, "How long the stream of an ended run can be replayed, in seconds."
    )
    lease_seconds: int = _setting(15, "A worker silent for this long has its runs taken over.")
    max_body_bytes: int = _setting(32 * 1024 * 1024, "Largest request body in bytes.")
    log_level: str = _setting("info", "debug, info, warning or error.")
    log_format: str = _setting("auto", "text, json, or auto: text on a terminal, else json.")


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Resolve the settings. `overrides` (command-line options) win; None in them means not given.

    Raises SettingsError for an unknown name in `assistd.toml`, an unreadable file or a wrong value.
    """
    env = os.environ if environ is None else environ
    found = _read_file(env)
    types = get_type_hints(Settings)
    for name in types:
        value = env.get(PREFIX + name.upper())
        if value is not None and value != "":
            found[name] = value
    found.update({k: v for k, v in overrides.items() if v is not None})
    return _check(Settings(**{name: _convert(name, value, types[name]) for name, value in found.items()}))


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
    known = {f.name for f in fields(Settings)}
    lowered = {key.lower().removeprefix(PREFIX.lower()): value for key, value in values.items()}
    if unknown := sorted(set(lowered) - known):
        raise SettingsError(f"{path} sets {', '.join(unknown)}, which assistd does not know.")
    return lowered


def _convert(name: str, value: Any, kind: type) -> Any:
    try:
        if kind is Path:
            return Path(value).expanduser()
        return kind(value)
    except (TypeError, ValueError) as fault:
        raise SettingsError(f"{PREFIX}{name.upper()} is {value!r}; it must be {kind.__name__}.") from fault


def _check(settings: Settings) -> Settings:
    if not 0 <= settings.port <= 65535:
        raise SettingsError(f"{PREFIX}PORT is {settings.port}; it must be between 0 and 65535.")
    for name in ("database_pool", "run_expires_seconds", "run_concurrency", "lease_seconds", "max_body_bytes"):
        if getattr(settings, name) < 1:
            raise SettingsError(f"{PREFIX}{name.upper()} is {getattr(settings, name)}; it must be at least 1.")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError(f"{PREFIX}LOG_LEVEL is {settings.log_level!r}; it must be debug, info, warning or error.")
    if settings.log_format not in ("auto", "text", "json"):
        raise SettingsError(f"{PREFIX}LOG_FORMAT is {settings.log_format!r}; it must be auto, text or json.")
    return settings
