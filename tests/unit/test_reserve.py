"""The reserve: room for SQLite on a full disk, given up when there is none and made again when there is."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from mediagen.db.reserve import keep_reserve

Usage = namedtuple("Usage", "total used free")


def free(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, bytes_))


def test_it_is_made_where_there_is_room_and_given_up_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 10**9)
    keep_reserve(tmp_path)
    [reserve] = tmp_path.iterdir()
    assert reserve.stat().st_size == 4 * 1024**2
    free(monkeypatch, 5 * 1024**2)
    keep_reserve(tmp_path)
    assert reserve.exists()
    free(monkeypatch, 0)
    keep_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == []
    keep_reserve(tmp_path)
    free(monkeypatch, 5 * 1024**2)
    keep_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == []
    free(monkeypatch, 10**9)
    keep_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == [reserve]


def test_without_its_folder_nothing_is_made_and_nothing_fails(tmp_path: Path) -> None:
    keep_reserve(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
