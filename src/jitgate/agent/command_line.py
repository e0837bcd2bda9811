"""Carrying out a command line at a host or a gateway, and telling what cannot be done."""

import argparse
import sys
from collections.abc import Sequence

from jitgate import log_lines
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts.wire import Malformed
from jitgate.core.errors import JitgateError
from jitgate.trust.signatures import Forged

_CANNOT, _INTERRUPTED = 2, 130


def carry_out(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> None:
    """Do what a command says: its options hold what to `do`. Exits with 2 if it cannot be done."""
    options = parser.parse_args(arguments)
    log_lines.configure()
    try:
        options.do(options)
    except JitgateError as error:
        print(f"{parser.prog}: {error.message}", file=sys.stderr)
        sys.exit(_CANNOT)
    except (ConnectorError, Malformed, Forged, OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(_CANNOT)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
