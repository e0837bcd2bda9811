"""How the templates of pages come to be loaded."""

from tests.processes import until

from jitgate.web.portal import pages


def test_the_first_page_has_all_others_loaded_so_that_none_is_slow_when_it_is_first_shown() -> None:
    pages.environment.cache_clear()
    made = pages.environment()
    names = made.list_templates()
    assert "home.html" in names
    until(lambda: made.cache is not None and len(made.cache) == len(names), "not all templates were loaded")
