"""What the server tells about itself while it runs: one log, to standard error.

All lines have one form, whether they come from structlog or from a library's own logging: for people on a terminal,
else ``key=value``, which journald and every collector read. Our own do not pass through the library's logging, which
takes twice as long, and each request has a line.
"""

import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor


def configure() -> None:
    """Send every log line to standard error, in one form."""
    renderer = _renderer()
    handler = logging.StreamHandler(sys.stderr)
    rendered = [ProcessorFormatter.remove_processors_meta, renderer]
    handler.setFormatter(ProcessorFormatter(processors=rendered, foreign_pre_chain=_shared()))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # What these say at every start is said better elsewhere, or interests nobody.
    for name in ("uvicorn", "alembic", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Named,
        cache_logger_on_first_use=True,
    )


class _Named(structlog.WriteLogger):
    """Writes lines to standard error; knows its name, as the loggers of `logging` do."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _renderer() -> Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"], drop_missing=True)
