"""Photographs of every page, light and dark, wide and on a phone, and of the README's picture: `make screenshots`."""

import sys
import tempfile
from pathlib import Path

from tests.portal import picture
from tests.portal.browser import PHONE, WIDE, Stage, chromium
from tests.portal.pages import pages, who_sees
from tests.server import Server

SETTLED = 400
"""Milliseconds until scripts have run and what is live has come."""


def take(stage: Stage, directory: Path) -> None:
    """Photograph every page."""
    directory.mkdir(parents=True, exist_ok=True)
    for route, path in pages(stage.scenery):
        name = route.strip("/").replace("/", "-").replace("{", "").replace("}", "") or "home"
        page = stage.open(path, who_sees(route))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for size, shape in (("wide", WIDE), ("phone", PHONE)):
                page.set_viewport_size(shape)  # type: ignore[arg-type]
                page.wait_for_timeout(SETTLED)
                page.screenshot(path=directory / f"{name}-{scheme}-{size}.png", full_page=True)
        page.close()


def main(directory: Path) -> None:
    """Make a server, and photograph it."""
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server, chromium() as browser:
        stage = Stage(server, browser)
        take(stage, directory)
        stage.close()
    with (
        tempfile.TemporaryDirectory() as data,
        Server(Path(data), machines=picture.machines) as server,
        chromium() as browser,
    ):
        picture.take(server, browser)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
