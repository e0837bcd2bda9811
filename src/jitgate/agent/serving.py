"""Doing what the server asks: each host in a thread of its own, so that a slow one holds up no other."""

from collections.abc import Sequence

from jitgate.agent.link import Link
from jitgate.agent.post import Post
from jitgate.connectors.hosts.messages import Apply, Discover, Failed, Hosts, Request, Settled


def serve(link: Link, posts: Sequence[Post]) -> None:
    """Serve until the server is gone. Raises Malformed, OSError."""
    by_scope = {post.host.scope: post for post in posts}
    for post in posts:
        post.start()
    for request in link.requests():
        _dispatch(request, link, by_scope)


def _dispatch(request: Request, link: Link, by_scope: dict[str, Post]) -> None:
    match request:
        case Discover():
            link.say(Hosts(request.number, tuple(post.facts() for post in by_scope.values())))
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
