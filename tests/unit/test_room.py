"""Room for new jobs: measured once for all who ask at the same time, and never taken from before."""

import asyncio
from pathlib import Path

import pytest

from mediagen.errors import StorageFull
from mediagen.storages.local import LocalStorage


async def test_all_who_ask_first_and_at_once_learn_what_is_there(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=1)
    await storage.start()
    await asyncio.gather(*(storage.demand_room() for _ in range(20)))


async def test_a_disk_without_room_refuses_all_of_them(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=2**62)
    await storage.start()
    answers = await asyncio.gather(*(storage.demand_room() for _ in range(20)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageFull] * 20
    with pytest.raises(StorageFull, match="MiB free"):
        await storage.demand_room()
