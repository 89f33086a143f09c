"""Structured logs: one line an event, with the request and run it belongs to.

Where the lines are JSON, everything is: what libraries, warnings, threads and a fault that ends the program say, too.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_JSON_LINES = structlog.processors.JSONRenderer()


def configure(level: str, format: str, *, people: bool = False) -> None:
    """Set up logging to standard error.

    `format` is text, json, or auto: text on a terminal and for commands whose answer `people` read, else json.
    """
    as_text = format == "text" or (format == "auto" and (people or sys.stderr.isatty()))
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if as_text
        else [structlog.processors.format_exc_info, _JSON_LINES]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # A line and its end in one write: other threads and processes write to the same place.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries and our quieter modules say through the standard library comes out alike.
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING) if level != "debug" else logging.INFO)
    logging.getLogger("assistd").setLevel(_LEVELS[level])
    if level != "debug":
        # That the database is away is told by those who miss it, in a line; asyncpg adds a stack trace a second.
        logging.getLogger("asyncpg").setLevel(logging.ERROR)
        # The scripted model drops connections where its script says so.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        # A client's broken form is the client's to know, and the answer tells it.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    if not as_text:
        sys.excepthook = _log_end
        sys.unraisablehook = _log_unraisable
        threading.excepthook = _log_thread


def writes_json() -> bool:
    """Whether log lines are JSON."""
    return _JSON_LINES in structlog.get_config()["processors"]


def say(sentence: str) -> None:
    """Tell on standard error why the program ends: as `assistd: sentence`, or as a line of JSON among such."""
    text = f"assistd: {sentence}"
    print(line(text, level="critical") if writes_json() else text, file=sys.stderr, flush=True)


def line(event: str, level: str = "info", **fields: str) -> str:
    """An event as a line of JSON, for what is no log."""
    return json.dumps({"event": event, **fields, "level": level, "timestamp": datetime.now(UTC).isoformat()})


class _Handler(logging.StreamHandler[Any]):
    """Writes records; one that cannot be written is told of as a record, and not as a stack trace in plain text."""

    def handleError(self, record: logging.LogRecord) -> None:
        if writes_json():
            self.stream.write(line("a log record could not be written", "error", logger=record.name) + self.terminator)
        else:
            super().handleError(record)


def _log_end(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger("assistd").critical("assistd ended by a fault of its own", exc_info=(kind, fault, trace))


def _log_unraisable(what: Any) -> None:
    found = None if what.exc_value is None else (what.exc_type, what.exc_value, what.exc_traceback)
    event = what.err_msg or "Exception ignored in"
    structlog.get_logger("assistd").error(event, source=repr(what.object), exc_info=found)


def _log_thread(what: threading.ExceptHookArgs) -> None:
    found = None if what.exc_value is None else (what.exc_type, what.exc_value, what.exc_traceback)
    name = "" if what.thread is None else what.thread.name
    structlog.get_logger("assistd").error("a thread ended by a fault", thread=name, exc_info=found)
