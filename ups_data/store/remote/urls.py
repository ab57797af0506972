"""URLs of datasets, and the clients that read them."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ups_data.errors import UpsDataError

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https", "file")
_URL = re.compile(rf"^({'|'.join(SCHEMES)})://", re.IGNORECASE)
# Options of obstore's HTTP client, which may be given beside those of the store.
CLIENT_OPTIONS = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_headers",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "root_certificate",
    "user_agent",
}


def is_url(root: object) -> bool:
    """Whether a dataset's root is a URL rather than the name of a folder."""
    return isinstance(root, str) and bool(_URL.match(root))


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UpsDataError(f"{url}: is no URL ({error}); give one such as s3://bucket/folder") from None


def file_of(url: str) -> Path | None:
    """The folder that a `file://` URL names; None: it is another URL.

    Raises:
        UpsDataError: it is no URL.
    """
    parts = _parts(url)
    return Path(unquote(parts.path)) if parts.scheme.lower() == "file" else None


def checked_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises:
        UpsDataError: it is no URL, names no server or bucket, or holds credentials, which would be shown wherever it
            is.
    """
    parts = _parts(url)
    if parts.username is not None or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        raise UpsDataError(
            f"{shown}: the URL of a dataset holds no user, password or query; give credentials in the environment or "
            "in store_options"
        )
    if not parts.netloc:
        raise UpsDataError(f"{url}: names no bucket or server; give a URL such as s3://bucket/folder")
    return url.rstrip("/")


def _http_in_environment() -> bool:
    """Whether the environment names an endpoint without TLS, or allows one: obstore does not look for that itself where
    other options of its client are given."""
    named = {n: v.lower() for n, v in os.environ.items() if n.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    return any(
        ("ENDPOINT" in name and value.startswith("http://"))
        or (name.endswith("_ALLOW_HTTP") and value in ("1", "true"))
        for name, value in named.items()
    )


def client_of(url: str, options: Mapping[str, Any], *, attempt_seconds: float) -> Any:
    """obstore's store for a URL. Attempts are repeated by whoever calls it, not by obstore.

    Args:
        options: credentials, endpoint and the like, by obstore's names.
        attempt_seconds: an attempt may take, from the connection to the last byte.

    Raises:
        UpsDataError: obstore is not installed, or does not know an option.
    """
    try:
        from obstore.store import from_url
    except ImportError:
        raise UpsDataError(f"{url}: install obstore to read it: pip install 'ups_data[remote]'") from None
    given = dict(options)
    client = {name: given.pop(name) for name in list(given) if name in CLIENT_OPTIONS}
    client |= dict(given.pop("client_options", None) or {})
    endpoints = (url, *(str(value) for name, value in given.items() if "endpoint" in name.lower()))
    if any(endpoint.lower().startswith("http://") for endpoint in endpoints) or _http_in_environment():
        client.setdefault("allow_http", True)
    client.setdefault("timeout", timedelta(seconds=attempt_seconds))
    client.setdefault("connect_timeout", timedelta(seconds=min(10.0, attempt_seconds)))
    given.pop("retry_config", None)
    make: Any = from_url
    try:
        return make(url, client_options=client, retry_config={"max_retries": 0}, **given)
    except BaseException as error:  # obstore's have no class in common, and their texts may repeat what was given
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise UpsDataError(
            f"{url}: store_options are not what obstore takes for this URL ({type(error).__name__}; given: "
            f"{', '.join(sorted(options)) or 'nothing'}); see obstore's documentation for their names"
        ) from None
