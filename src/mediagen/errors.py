"""Every error that mediagen raises on purpose.

    MediagenError
    ├── SettingsError            the start is refused; names the setting and the allowed values
    ├── InvalidRequest           422  the request is malformed; carries the fields
    │   ├── UnknownModel         422
    │   └── KeyReused            422  an idempotency key came back with another request
    ├── NotFound                 404
    ├── Conflict                 409  the job's state does not allow it
    ├── Forbidden                403  wrong host or origin
    ├── TooLarge                 413
    ├── Unavailable              503  try again later
    │   └── StorageFull          507
    ├── LeaseLost                     another worker owns the job now; write nothing more
    ├── ProviderError                 a free call (get, list, cancel) failed; tells whether to try again
    │   ├── PredictionGone            the provider knows no such prediction (any more)
    │   └── Unreadable                an answer came, and it can't be read
    ├── FetchError                    a file could not be fetched; tells whether to try again
    │   ├── FetchBlocked              the address rules forbid it, for good
    │   ├── FetchGone                 the link is dead (403, 404, 410): ask the provider for a new one
    │   ├── FetchPacked               packed in a way that can't be undone; may be kept as it came
    │   └── FetchTooLarge             over the byte cap, for good
    └── InvalidMedia                  the bytes are not what their first ones promise, or not safe to decode

`code` is stable and meant for programs, `http_status` is used at the API's edge, `retryable` says whether
the same thing may work later. Messages name the value and the way out and hold no secret.
"""

from collections.abc import Mapping
from typing import ClassVar


class MediagenError(Exception):
    """Root of all errors raised on purpose."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class SettingsError(MediagenError):
    code = "bad_setting"


class InvalidRequest(MediagenError):
    """A request that can't be carried out as it is; `fields` maps a dotted path to what is wrong there."""

    code = "invalid_request"
    http_status = 422

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class UnknownModel(InvalidRequest):
    code = "unknown_model"


class KeyReused(InvalidRequest):
    code = "idempotency_key_reused"


class NotFound(MediagenError):
    code = "not_found"
    http_status = 404


class Conflict(MediagenError):
    code = "conflict"
    http_status = 409


class Forbidden(MediagenError):
    code = "forbidden"
    http_status = 403


class TooLarge(MediagenError):
    code = "too_large"
    http_status = 413


class Unavailable(MediagenError):
    code = "unavailable"
    http_status = 503
    retryable = True


class StorageFull(Unavailable):
    code = "storage_full"
    http_status = 507


class LeaseLost(MediagenError):
    code = "lease_lost"


class ProviderError(MediagenError):
    """A free call to a provider failed. `retry_after_s` is the pause that the provider asked for, if any."""

    code = "provider_error"
    retryable = True

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PredictionGone(ProviderError):
    """The provider has no such prediction; `sure` when it had it and says that it removed it."""

    code = "prediction_gone"
    retryable = False

    def __init__(self, message: str = "", *, sure: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.sure = sure


class Unreadable(ProviderError):
    """A provider's answer came and can't be read; `raw` is its beginning, for people."""

    code = "provider_unreadable"

    def __init__(self, message: str = "", *, raw: str = "") -> None:
        super().__init__(message)
        self.raw = raw


class FetchError(MediagenError):
    """A file could not be fetched, this time."""

    code = "fetch_failed"
    retryable = True


class FetchBlocked(FetchError):
    code = "fetch_blocked"
    retryable = False


class FetchGone(FetchError):
    code = "fetch_gone"


class FetchPacked(FetchError):
    """The coding that the body's header names can't be undone; the bytes may be taken as they come."""


class FetchTooLarge(FetchError):
    code = "fetch_too_large"
    retryable = False


class InvalidMedia(MediagenError):
    """A file is damaged, or costs more to decode than any honest one."""

    code = "output_invalid"
