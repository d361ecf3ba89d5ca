"""The broker of one process: a bell that its own worker hears."""

from mediagen.brokers.base import Broker


class InProcessBroker(Broker):
    """Wakes the worker inside the same process; others find the job by looking."""

    name = "in-process"

    async def check(self) -> str:
        return "in this process"
