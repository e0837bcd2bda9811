"""Who shares a grant, and who is the last."""

from pathlib import Path

import pytest

from jitgate.cli import sharing

GRANT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def leave(share: sharing.Share) -> bool:
    with share.leave() as is_last:
        return is_last


@pytest.mark.parametrize("first_to_leave", [0, 1, 2])
def test_of_several_exactly_one_is_the_last(environ: dict[str, str], first_to_leave: int) -> None:
    shares = [sharing.begin(GRANT, environ)]
    for _ in range(2):
        joined = sharing.join(GRANT, environ)
        assert joined is not None
        shares.append(joined)
    shares.insert(0, shares.pop(first_to_leave))
    assert [leave(share) for share in shares] == [False, False, True]


def test_a_grant_that_nobody_opened_for_a_command_is_not_shared(environ: dict[str, str]) -> None:
    assert sharing.join(GRANT, environ) is None


def test_after_the_last_nobody_can_join(environ: dict[str, str]) -> None:
    assert leave(sharing.begin(GRANT, environ))
    assert sharing.join(GRANT, environ) is None


def test_what_a_server_calls_a_grant_leads_out_of_no_directory(environ: dict[str, str], tmp_path: Path) -> None:
    share = sharing.begin("../../../etc/passwd", environ)
    assert [file.name for file in (tmp_path / "jitgate").iterdir()] == ["etcpasswd"]
    assert leave(share)


def test_without_a_place_to_share_each_shuts_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    share = sharing.begin(GRANT, {"XDG_RUNTIME_DIR": str(tmp_path / "file")})
    assert leave(share)


def test_others_cannot_read_what_is_shared(environ: dict[str, str], tmp_path: Path) -> None:
    share = sharing.begin(GRANT, environ)
    assert (tmp_path / "jitgate").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "jitgate" / GRANT).stat().st_mode & 0o777 == 0o600
    leave(share)
