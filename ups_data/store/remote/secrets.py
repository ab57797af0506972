"""Options of a store, which may hold credentials: they are never shown, and leave a process only for its children."""

from collections.abc import Iterator, Mapping
from multiprocessing.context import get_spawning_popen
from typing import Any

from ups_data.errors import UpsDataError

# Options that are nobody's secret. All others are not shown, and not pickled.
PLAIN = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_excludes",
    "skip_signature",
    "user_agent",
    "virtual_hosted_style_request",
}
HIDDEN = "***"  # stands for a secret value; where it is given as one, the value is not known
_PREFIXES = ("aws_", "google_", "azure_storage_", "azure_")
_PLAIN_ENDS = ("region", "endpoint", "bucket", "skip_signature", "allow_http", "account_name", "container_name")


class StoreOptions(Mapping[str, Any]):
    """What obstore is told beside the URL: credentials, endpoint, region.

    `repr`, `str` and pickles name the options and keep the values of those that may be secret. Only a process that is
    being started by `multiprocessing` (a loader's worker, a spawned rank) gets them, through the pipe that starts it.
    A pickle that is read anywhere else has the plain options alone, and obstore looks for credentials in the
    environment there.

    Attributes:
        dropped: whether secret options were left out of the pickle that this comes from.
    """

    def __init__(self, options: Mapping[str, Any] | None = None, *, dropped: bool = False) -> None:
        given = dict(options or {})
        self._options = {name: value for name, value in given.items() if value != HIDDEN}
        self.dropped = dropped or bool(getattr(options, "dropped", False)) or len(self._options) < len(given)

    @staticmethod
    def read(value: Any) -> "StoreOptions":
        """From a configuration.

        Raises:
            UpsDataError: it is no mapping of names; the message does not show it.
        """
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise UpsDataError("store_options is no mapping of names to values: give {region: …, endpoint: …}")
        return StoreOptions(value)

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._options)))

    def __repr__(self) -> str:
        return repr(self.shown())

    def shown(self) -> dict[str, Any]:
        """Name → value, or `HIDDEN` where it may be secret."""
        return {name: value if is_plain(name, value) else HIDDEN for name, value in self._options.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        if get_spawning_popen() is not None:
            return StoreOptions, (self._options,)
        plain = {name: value for name, value in self._options.items() if is_plain(name, value)}
        return _without_secrets, (plain, self.dropped or len(plain) < len(self._options))


def is_plain(name: str, value: object) -> bool:
    """Whether an option may be shown: it is known to be no secret, and is a single value without credentials in it."""
    lower = name.lower()
    for prefix in _PREFIXES:
        lower = lower.removeprefix(prefix)
    plain = lower in PLAIN or lower.endswith(_PLAIN_ENDS)
    return plain and isinstance(value, str | int | float | bool) and "@" not in str(value)


def _without_secrets(plain: dict[str, Any], dropped: bool) -> StoreOptions:
    return StoreOptions(plain, dropped=dropped)
