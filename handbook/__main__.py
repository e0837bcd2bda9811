"""``python -m handbook site DIRECTORY``, ``… reference``, ``… recording``: see the package."""

import argparse
import sys
from pathlib import Path

from handbook import recording, reference, site


def main() -> int:
    """Make what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m handbook")
    asked = parser.add_subparsers(dest="what", required=True)
    asked.add_parser("site", help="the documentation as a site").add_argument("directory", type=Path)
    asked.add_parser("reference", help="renew the pages that nobody writes by hand")
    asked.add_parser("recording", help="run the demo, and draw what it prints")
    words = parser.parse_args()
    if words.what != "site":
        {"reference": reference.renew, "recording": recording.record}[words.what]()
        return 0
    try:
        site.build(words.directory)
    except site.SiteRefused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{words.directory}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
