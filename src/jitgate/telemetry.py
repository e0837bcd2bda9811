"""What the server tells about itself while it runs: one log, to standard error.

All lines have one form, whether they come from structlog or from a library's own logging: for people on a terminal,
else ``key=value``, which journald and every collector read, or JSON. What happens in one call has its ``correlation``,
what happens in one look at a firewall its ``scope``, in whichever thread: they are bound to the context. Our own lines
do not pass through the library's logging, which takes twice as long, and each request has a line.
"""

import contextlib
import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor


def configure(form: str = "auto") -> None:
    """Send every log line to standard error, in one form: `logfmt`, `json`, or `auto`: for people on a terminal, else
    logfmt."""
    renderer = _renderer(form)
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
    """Writes lines to standard error; knows its name, as the loggers of `logging` do. Like them, it ends nothing where
    nothing can be written: a full disk, or nobody who reads any more, costs lines, and no loop that shuts ports."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    debug = info = warn = warning = error = critical = exception = fatal = log = msg


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _renderer(form: str) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "auto" and sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"], drop_missing=True)
