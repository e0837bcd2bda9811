"""What the server tells about itself costs nothing but lines where it cannot be written."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

TELLS = """
import structlog
from jitgate import telemetry
telemetry.configure()
log = structlog.get_logger("jitgate.loop")
for tell in (log.debug, log.info, log.warning, log.error, log.critical):
    tell("something is wrong", again=True)
try:
    raise ValueError
except ValueError:
    log.exception("it broke")
print("it goes on")
"""


@pytest.fixture(params=["a full disk", "nobody who reads"])
def nowhere(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor that nothing can be written to."""
    if request.param == "a full disk":
        place = os.open("/dev/full", os.O_WRONLY)
    else:
        read, place = os.pipe()
        os.close(read)
    yield place
    os.close(place)


def test_a_loop_that_tells_of_an_error_goes_on_where_that_cannot_be_written(nowhere: int) -> None:
    done = subprocess.run([sys.executable, "-c", TELLS], stdout=subprocess.PIPE, stderr=nowhere, text=True, check=False)
    assert done.stdout == "it goes on\n"


def test_what_is_told_is_one_line_with_its_logger_level_and_facts() -> None:
    done = subprocess.run([sys.executable, "-c", TELLS], capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if "level=warning" in line)
    assert 'logger=jitgate.loop event="something is wrong" again' in line
    assert "level=debug" not in done.stderr
    assert "ValueError" in done.stderr


def test_lines_can_be_json_also_those_of_libraries() -> None:
    tells = (
        TELLS.replace("configure()", 'configure("json")') + 'import logging\nlogging.warning("a library’s %s", "own")'
    )
    done = subprocess.run([sys.executable, "-c", tells], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines][-2:] == ["it broke", "a library’s own"]
    assert all({"timestamp", "level", "logger"} <= line.keys() for line in lines)


TELLS_BESIDE = """
import logging
from jitgate import log_lines
log_lines.configure()
logging.getLogger("jitgate.agent").debug("not told")
logging.getLogger("jitgate.agent").warning('it said "no"')
try:
    raise ValueError("why")
except ValueError:
    logging.getLogger("jitgate.agent").exception("it broke")
"""


@pytest.mark.parametrize("form", ["auto", "logfmt", "json"])
def test_agents_and_gateways_write_the_fields_that_the_server_writes(form: str) -> None:
    environment = {**os.environ, "JITGATE_LOG_FORMAT": form}
    command = [sys.executable, "-c", TELLS_BESIDE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    warned, broke = done.stderr.splitlines()
    if form == "json":
        assert (
            json.loads(warned).items()
            >= {"level": "warning", "logger": "jitgate.agent", "event": 'it said "no"'}.items()
        )
        assert "ValueError: why" in json.loads(broke)["exception"]
    else:
        assert r'level=warning logger=jitgate.agent event="it said \"no\""' in warned
        assert 'event="it broke" exception="Traceback' in broke
