"""The kinds of providers that are simulated, by what they let us know of a call whose answer was lost."""

from dataclasses import dataclass
from random import Random

from mediagen.providers.base import Capabilities, Dedupe

RETENTION_S = 900.0
"""How long predictions can be looked at; short, so that schedules don't spend themselves on looks."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of provider."""

    name: str
    capabilities: Capabilities
    rings: bool  # it calls back, and names the call
    marks: bool  # creates carry what names the call in its list and its answers
    share: int  # of all schedules, in percent

    @property
    def blind(self) -> bool:
        """Whether nobody can ask it for a call whose answer was lost."""
        return self.capabilities.dedupe in (Dedupe.NONE, Dedupe.WEBHOOK)

    @property
    def asks(self) -> bool:
        """Whether its list can be read."""
        return self.capabilities.dedupe is Dedupe.RECONCILE

    @property
    def keyed(self) -> bool:
        """Whether the same create joins the first one, so that it may be sent again at any time."""
        return self.capabilities.dedupe is Dedupe.KEY

    @property
    def synchronous(self) -> bool:
        """Whether its answer to the create holds the outputs, and nothing can be asked afterwards."""
        return self.capabilities.synchronous


def _profile(
    name: str,
    dedupe: Dedupe,
    share: int,
    *,
    rings: bool = False,
    marks: bool = False,
    synchronous: bool = False,
) -> Profile:
    capabilities = Capabilities(
        dedupe=dedupe, billed=True, rings=rings, synchronous=synchronous, retention_s=RETENTION_S
    )
    return Profile(name=name, capabilities=capabilities, rings=rings, marks=marks or rings, share=share)


PROFILES: tuple[Profile, ...] = (
    _profile("reconcile", Dedupe.RECONCILE, 30, rings=True),
    _profile("unheard", Dedupe.RECONCILE, 16, marks=True),  # it can't reach us
    _profile("unmarked", Dedupe.RECONCILE, 12),  # known again only by input and time
    _profile("key", Dedupe.KEY, 12),
    _profile("synchronous", Dedupe.KEY, 14, synchronous=True),
    _profile("webhook", Dedupe.WEBHOOK, 6, rings=True),
    _profile("blind", Dedupe.NONE, 6),
    _profile("blind-synchronous", Dedupe.NONE, 6, synchronous=True),
)


def draw_profile(rng: Random) -> Profile:
    """Return the provider of a schedule."""
    return rng.choices(PROFILES, [profile.share for profile in PROFILES])[0]
