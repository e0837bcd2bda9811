"""Looking around on the hosts now and then, so that the server is told what has changed."""

import itertools
import threading
from collections.abc import Sequence

from jitgate.agent.post import Post

EVERY_SECONDS = 5.0
_THOROUGHLY_EVERY = 12


def keep_looking(posts: Sequence[Post]) -> None:
    """Have every post look around from now on, in a thread of its own."""
    threading.Thread(target=_look, args=(posts,), name="looking", daemon=True).start()


def _look(posts: Sequence[Post]) -> None:
    for count in itertools.count(1):
        threading.Event().wait(EVERY_SECONDS)
        for post in posts:
            post.look_around(thoroughly=count % _THOROUGHLY_EVERY == 0)
