"""The log of agents, gateways and the supervisor, who say little and must not load what the server's log takes.

Their lines have the fields of the server's: timestamp, level, logger, event.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime

FORMAT = "JITGATE_LOG_FORMAT"
"""The environment's name for the form: `logfmt`, `json`, or `auto`: for people on a terminal, else logfmt."""

_FOR_PEOPLE = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"


def configure() -> None:
    """Send every line to standard error, in the form that the environment names."""
    form = os.environ.get(FORMAT, "auto")
    for_people = form not in ("logfmt", "json") and sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FOR_PEOPLE) if for_people else _Fields(as_json=form == "json"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Fields(logging.Formatter):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(fields, ensure_ascii=False)
        return " ".join(f"{name}={_value(text)}" for name, text in fields.items())


def _value(text: str) -> str:
    """As logfmt has it: in quotation marks where it could be read as more than one."""
    return text if text.isprintable() and not set(text) & set(' ="') and text else json.dumps(text, ensure_ascii=False)
