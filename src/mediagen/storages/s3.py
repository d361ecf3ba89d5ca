"""S3-compatible storage: AWS S3, SeaweedFS, MinIO, Ceph, R2 and others."""

from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from mediagen.errors import SettingsError
from mediagen.settings import ENV_CONFIG, Address
from mediagen.storages.bucket import TIMEOUT_S, BucketStorage, client_options


class S3Settings(BaseSettings):
    """Where the bucket is and who we are."""

    model_config = ENV_CONFIG

    s3_endpoint: Address = Field("", description="Address of the service; empty is AWS.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_bucket: str = Field("mediagen", min_length=3, max_length=63, description="Bucket; made when missing.")
    s3_access_key: str = Field("", description="Access key; empty takes the machine's own identity.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key.")
    s3_presign_s: int = Field(
        0,
        ge=0,
        le=3600,
        description="Seconds for which signed links let clients read from the bucket; 0 serves all through mediagen.",
    )


class S3Storage(BucketStorage):
    """Files in a bucket of an S3-compatible service."""

    name = "s3"
    where = "S3_BUCKET"
    keys = "S3_ACCESS_KEY and S3_SECRET_KEY"

    def __init__(self, settings: S3Settings, temp_dir: Path) -> None:
        super().__init__(settings.s3_bucket, temp_dir, settings.s3_presign_s)
        self._settings = settings

    @property
    def setting(self) -> str:
        return (
            f"S3_ENDPOINT={self._settings.s3_endpoint!r}" if self._settings.s3_endpoint else super().setting
        )

    @property
    def has_keys(self) -> bool:
        return bool(self._settings.s3_access_key)

    def describe(self) -> str:
        return f"bucket {self.bucket} at {self._settings.s3_endpoint or 'AWS'}"

    def open(self) -> Any:
        from obstore.store import S3Store

        own = self._settings
        given: dict[str, Any] = {}
        if own.s3_access_key:
            given = {
                "access_key_id": own.s3_access_key,
                "secret_access_key": own.s3_secret_key.get_secret_value(),
            }
        if own.s3_endpoint:
            given |= {"endpoint": own.s3_endpoint.rstrip("/"), "virtual_hosted_style_request": False}
        options = client_options(plain_http=own.s3_endpoint.startswith("http:"))
        return S3Store(self.bucket, region=own.s3_region, **options, **given)

    def ensure_bucket(self) -> None:
        """Make the bucket when it is missing."""
        if not self.is_there():
            self._create_bucket()
            super().ensure_bucket()

    def _create_bucket(self) -> None:
        """Make the bucket by a signed request; the library itself has no call for it.

        A conflict means that another process has just made it, or that it is somebody else's: a look tells.
        """
        import obstore

        url = obstore.sign(self.store, "PUT", "", timedelta(minutes=1))
        bucket = self.bucket
        try:
            with urlopen(Request(url, method="PUT"), timeout=TIMEOUT_S):  # noqa: S310  our own endpoint
                return
        except (HTTPError, URLError) as error:
            if isinstance(error, HTTPError) and error.code == HTTPStatus.CONFLICT:
                return
            raise SettingsError(f"S3_BUCKET={bucket!r} does not exist and can't be made: {error}") from error
