"""What a broker is: it wakes workers. It carries job ids, never jobs; losing every message loses no job."""

from abc import ABC, abstractmethod
from typing import ClassVar


class Broker(ABC):
    """A doorbell from those who submit to those who work."""

    name: ClassVar[str]

    @abstractmethod
    def ring(self, job_id: str) -> None:
        """Wake a worker, best effort: returns at once, never raises, may be lost or come twice."""

    @abstractmethod
    async def check(self) -> str:
        """Return a short sentence on its health. Raises `Unavailable`."""

    async def close(self) -> None:
        """Free connections. Idempotent."""
        return
