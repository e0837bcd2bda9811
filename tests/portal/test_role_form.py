"""A role that is opened in its form and saved untouched allows the same."""

from collections import Counter

import pytest

from jitgate.core.roles import ACTIONS, BUILT_IN, INITIATE, Role
from jitgate.web.portal.settings import role_form

OWN = Role("Own", (INITIATE.upper(), "a/*/read", "A/b"), ("c/*",), "Mine.", "id", ("/", "/subscriptions/1"), True)


@pytest.mark.parametrize("held", [OWN, *BUILT_IN.values()])
def test_what_is_saved_untouched_allows_the_same(held: Role) -> None:
    read = role_form.read(role_form.typed_of(held))
    assert {action.lower() for action in read.actions} == {action.lower() for action in held.actions}
    assert (read.name, read.not_actions, read.description) == (held.name, held.not_actions, held.description)
    assert (read.id, read.scopes) == (held.id, held.scopes)


def test_every_action_can_be_ticked_in_exactly_one_place() -> None:
    listed = Counter(action for group in role_form.GROUPS.values() for action in group)
    assert listed == Counter(list(ACTIONS))
