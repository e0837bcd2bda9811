"""The portal: what people see in a browser. Its pages run no script but one that takes a link's secret out of the
address, and load nothing from elsewhere."""

from fastapi import FastAPI

from jitgate.web.portal import command_line, sign_in


def add_routes(app: FastAPI) -> None:
    """Add the pages to an application."""
    for part in (sign_in, command_line):
        part.add_routes(app)


__all__ = ["add_routes"]
