"""Doing what the server asks: each post in a thread of its own, so that a slow one holds up no other."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from jitgate.connectors.hosts.messages import Answer, Apply, Discover, Failed, HostFacts, Hosts, Request, Settled


class Link(Protocol):
    """The agent's end of the way to its server."""

    def requests(self) -> Iterator[Request]:
        """What the server asks, as it comes, until it is gone."""
        ...

    def say(self, answer: Answer) -> None:
        """Tell the server."""
        ...


class Post(Protocol):
    """One scope that is held here: a host, or a gateway. Everything but `machines` returns at once."""

    @property
    def scope(self) -> str: ...

    def start(self) -> None: ...

    def apply(self, request: Apply) -> None: ...

    def settle(self, record: str) -> None: ...

    def machines(self) -> Sequence[HostFacts]: ...


def serve(link: Link, posts: Sequence[Post]) -> None:
    """Take up the posts, and serve until the server is gone. Raises Malformed, OSError."""
    for post in posts:
        post.start()
    attend(link, posts)


def attend(link: Link, posts: Sequence[Post]) -> None:
    """Serve a server with posts that are taken up, until it is gone. Raises Malformed, OSError."""
    by_scope = {post.scope: post for post in posts}
    for request in link.requests():
        _dispatch(request, link, by_scope)


def _dispatch(request: Request, link: Link, by_scope: dict[str, Post]) -> None:
    match request:
        case Discover():
            link.say(Hosts(request.number, tuple(each for post in by_scope.values() for each in post.machines())))
        case Apply():
            post = by_scope.get(request.desired.scope)
            if post is None:
                what = f"there is no {request.desired.scope} among the hosts in the settings"
                link.say(Failed(request.number, what, retry=False))
            else:
                post.apply(request)
        case Settled():
            for post in by_scope.values():
                post.settle(request.record)
