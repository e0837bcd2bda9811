"""``python -m release check [--tests] [--tag]``, ``… sbom DIRECTORY``: see the package."""

import argparse
import sys
from pathlib import Path

import jitgate
from release import check, sbom


def main() -> int:
    """Do what is asked; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m release")
    asked = parser.add_subparsers(dest="what", required=True)
    listed = asked.add_parser("check", help="go through the list; changes nothing unless it is told to tag")
    listed.add_argument("--tests", action="store_true", help="run make test as well")
    listed.add_argument("--tag", action="store_true", help="tag this commit, if all is well")
    asked.add_parser("sbom", help="write the bill of materials").add_argument("directory", type=Path)
    words = parser.parse_args()
    if words.what == "check":
        return check.run(with_tests=words.tests, tag=words.tag)
    (words.directory / f"jitgate-{jitgate.__version__}.cdx.json").write_text(sbom.bill(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
