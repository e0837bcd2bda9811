"""Giving up capabilities: none is left, and none comes back."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_root

GIVE_UP_AND = """
import subprocess, sys
from jitgate.ops.privileges import drop_all, held_capabilities
drop_all()
assert not held_capabilities()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GIVE_UP_AND + code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_process_that_gave_up_its_rights_cannot_read_or_change_a_firewall_even_as_root() -> None:
    # `nft` is started by root, for whom the kernel would raise all capabilities anew.
    tried = run("sys.exit(subprocess.run(['nft', 'list', 'ruleset']).returncode)")
    assert tried.returncode != 0
    assert "not permitted" in tried.stderr


def test_it_cannot_enter_a_network_namespace() -> None:
    tried = run(
        "import os, ctypes; sys.exit(ctypes.CDLL(None).setns(os.open('/proc/1/ns/net', os.O_RDONLY), 0x40000000))"
    )
    assert tried.returncode != 0


def test_what_it_starts_has_none_either() -> None:
    tried = run("subprocess.run(['grep', 'Cap', '/proc/self/status'])")
    assert tried.returncode == 0
    assert all(line.split()[1] == "0" * 16 for line in tried.stdout.splitlines()), tried.stdout


def test_with_a_second_thread_it_refuses_to_go_on_because_that_one_would_keep_its_rights() -> None:
    code = """
import threading, time
from jitgate.ops.privileges import drop_all
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
drop_all()
"""
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert "StillPrivileged" in tried.stderr
