"""The kinds of providers that are simulated, by what they let us know of a call whose answer was lost."""

from dataclasses import dataclass

from mediagen.providers.base import Capabilities, Dedupe


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of provider."""

    name: str
    capabilities: Capabilities
    rings: bool  # its webhook, and its list if it has one, name the call
    share: int  # of all schedules, in percent

    @property
    def blind(self) -> bool:
        """Whether nobody can ask it for a call whose answer was lost."""
        return self.capabilities.dedupe in (Dedupe.NONE, Dedupe.WEBHOOK)

    @property
    def keyed(self) -> bool:
        """Whether the same create joins the first one, so that it may be sent again at any time."""
        return self.capabilities.dedupe is Dedupe.KEY

    @property
    def synchronous(self) -> bool:
        """Whether its answer to the create holds the outputs, and nothing can be asked afterwards."""
        return self.capabilities.synchronous


def _profile(
    name: str, dedupe: Dedupe, share: int, *, rings: bool = False, synchronous: bool = False
) -> Profile:
    capabilities = Capabilities(dedupe=dedupe, billed=True, rings=rings, synchronous=synchronous)
    return Profile(name=name, capabilities=capabilities, rings=rings, share=share)


PROFILES: tuple[Profile, ...] = (
    _profile("reconcile", Dedupe.RECONCILE, 40, rings=True),
    _profile("unmarked", Dedupe.RECONCILE, 16),  # known again only by model, input and time
    _profile("key", Dedupe.KEY, 12),
    _profile("synchronous", Dedupe.KEY, 14, synchronous=True),
    _profile("webhook", Dedupe.WEBHOOK, 6, rings=True),
    _profile("blind", Dedupe.NONE, 6),
    _profile("blind-synchronous", Dedupe.NONE, 6, synchronous=True),
)
