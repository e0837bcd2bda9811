"""`jitgate sign-in-link`: a way into the portal without an identity provider."""

from jitgate.cli.session import TABLE, DataDirOption, OutputOption, session


def sign_in_link(output: OutputOption = TABLE, data_dir: DataDirOption = None) -> None:
    """Print a link that signs you in in a browser, once, within 15 minutes."""
    with session(output, data_dir) as s:
        made = s.server.post("/sign-in-links")
        url = s.server.place.url + made["path"]
        if not s.screen.data({"url": url}):
            s.screen.note("Good once, for 15 minutes, for whoever opens it:")
            s.screen.say(url)
