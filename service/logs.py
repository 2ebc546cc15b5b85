"""Where logging is configured, once: lines for people on a terminal, JSON for machines elsewhere; always on stderr.

What is logged are names, counts and times of our own. Never anything of a transaction.
"""

import logging
import sys
from pathlib import Path

import structlog


def configure(path: Path | None = None) -> None:
    """Log from `info` up, to stderr or to a file. Standard output stays free for what a command gives."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    to = sys.stderr if path is None else path.open("a")
    terminal = to.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.dict_tracebacks]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(to),
        cache_logger_on_first_use=True,
    )
