"""The proofs' commands: numbers and files are checked first, and whoever stops one finds nothing left behind."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proof.command import STOPPED, above_zero, new_file, whole

WORKS = """
import signal, tempfile
from proof.command import finish

def main():
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        signal.pause()

finish(main)
"""
RUNS_TWO = """
import sys
from proof import __main__ as proofs

proofs._command = lambda name, args: [sys.executable, "-c", sys.argv[1]]
sys.exit(proofs._all([("first", ""), ("second", "")]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [["-c", WORKS], ["-c", RUNS_TWO, WORKS]], ids=["one", "several"])
def test_who_stops_it_finds_nothing_left_behind(number: signal.Signals, command: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        if number is signal.SIGINT:  # a terminal tells all of its foreground
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        more, errors = process.communicate(timeout=30)
    assert process.returncode == STOPPED
    assert (more, errors) == ("", "Stopped.\n")  # a second one was not begun
    assert not folder.exists()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (whole(1), "0"),
        (whole(0), "-1"),
        (whole(1), "many"),
        (whole(1), "1.5"),
        (above_zero, "0"),
        (above_zero, "-1"),
        (above_zero, "nan"),
        (above_zero, "inf"),
        (above_zero, "soon"),
        (new_file, "/nowhere/at/all.json"),
        (new_file, "/"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_value(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        read(text)


def test_what_makes_sense_is_taken(tmp_path: Path) -> None:
    assert (whole(0)("0"), whole(1)("20"), above_zero("0.5")) == (0, 20, 0.5)
    assert new_file(str(tmp_path / "new.json")) == tmp_path / "new.json"
    assert not (tmp_path / "new.json").exists()
