"""Which grants somebody means: by an id or its beginning, by a machine, or by saying nothing."""

from collections.abc import Sequence

from jitgate.cli.exits import NotThere, Usage
from jitgate.cli.server import Json, Server, path
from jitgate.cli.text import plain, port, short

SHORTEST_ID = 4
_HEXADECIMAL = set("0123456789abcdef")


def several(server: Server, words: Sequence[str], *, every: bool) -> list[Json]:
    """The grants that are meant; without words, the only one of one's own. Raises Usage, NotThere."""
    if words and every:
        raise Usage("--all and the name of a grant or machine exclude each other.")
    mine = _mine(server)
    if words:
        found = [grant for word in words for grant in _meant(server, word, mine)]
        return list({grant["id"]: grant for grant in found}.values())
    if every:
        return mine
    return _only(mine)


def one_or_more(server: Server, word: str) -> list[Json]:
    """The grant of an id, or one's own on a machine. Raises NotThere."""
    return _meant(server, word, _mine(server))


def _mine(server: Server) -> list[Json]:
    return [grant for grant in server.pages("/grants", mine=True) if grant["state"] != "closing"]


def _meant(server: Server, word: str, mine: Sequence[Json]) -> list[Json]:
    wanted = word.casefold()
    found = [grant for grant in mine if wanted in (grant["machine"].casefold(), grant["machineId"].casefold())]
    if found:
        return found
    if len(wanted) >= SHORTEST_ID and set(wanted) <= _HEXADECIMAL:
        # Somebody else's grant, or one that is over: the server knows, and knows who may.
        return [server.get(path("grants", wanted))]
    raise NotThere(f"You have nothing open on a machine {plain(word)!r}. `jitgate ls --mine` lists what you have.")


def _only(mine: Sequence[Json]) -> list[Json]:
    if not mine:
        raise NotThere("You have nothing open.")
    if len(mine) > 1:
        listed = "\n".join(f"  {short(grant['id'])}  {plain(grant['machine'])} port {port(grant)}" for grant in mine)
        raise Usage(f"You have several ports open. Say which, or --all:\n{listed}")
    return list(mine)
