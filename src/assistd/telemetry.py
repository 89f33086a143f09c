"""Structured logs: one line an event, with the request and run it belongs to."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, format: str) -> None:
    """Set up logging to standard error. `format` is text, json, or auto: text on a terminal, else json."""
    as_text = format == "text" or (format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Any] = (
        # Rich's tracebacks would hold up everything else that the process does for a second each.
        [structlog.dev.ConsoleRenderer(sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries and our quieter modules say through the standard library comes out alike.
    handler = logging.StreamHandler(sys.stderr)
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
