"""A protocol by its guards, for the submit model."""

from dataclasses import dataclass

from proof.submit_state import ONE_EACH, Left


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A protocol by its guards, the faults that it meets, and what harm is expected of it."""

    name: str
    harm: frozenset[str] = frozenset()  # twice, dropped, stuck, wrong
    fence: bool = True  # writes need the lease
    opinions: bool = True  # what is thought of a call needs it, too
    reads: bool = True  # which call to ask for, or to send again, is read under it as well
    adopts: bool = True  # so does taking what the provider lists for our call
    intent: bool = True  # it is committed before the create is sent
    unknown: bool = True  # a lost answer leads to a look; without it, to another create
    grace: bool = True  # nobody decides while a create may still arrive
    deadline: bool = True  # a create is sent soon after its intent, or never
    asks: bool = True  # the provider can be asked for a call
    rings: bool = True  # its webhook names the call
    marks: bool = True  # so does what it lists; without it, all that was bought for the job looks alike
    key: bool = False  # the same create joins the first one: it is sent again instead of asking
    proof: bool = True  # what can't be told from others is no proof that nothing was bought
    judges: bool = True  # an answer is looked at before it is believed
    looks: bool = True  # the lease is looked at once more right before a send
    recovers: bool = True  # an older copy of the database asks what was bought since before it buys
    late: bool = True  # what came to light late is used before something else is bought
    wish: bool = False  # a client may want the job canceled
    slots: int = 2
    attempts: int = 2
    faults: Left = ONE_EACH

    @property
    def guarded(self) -> bool:
        """Whether a move outside the tables is an error."""
        in_time = self.key or (self.grace and self.deadline)
        leased = self.fence and self.reads and self.adopts and self.opinions and self.looks
        proved = self.proof and self.judges and self.recovers and self.late
        return leased and proved and self.intent and self.unknown and in_time
