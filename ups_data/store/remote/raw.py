"""A range asked for past obstore, which shows no headers: a store that refuses may say for how long."""

import email.utils
import time
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from ups_data.store.remote.reasons import SLOW_DOWN

LONGEST_PAUSE = 60.0


class RefusedError(Exception):
    """The store wants fewer requests.

    Attributes:
        status: of the answer.
        pause: seconds in which it wants none.
    """

    def __init__(self, status: int, pause: float) -> None:
        super().__init__(f"the store answered {status}")
        self.status, self.pause = status, pause


def ask(client: Any, key: str, start: int, stop: int, seconds: float) -> bytes | None:
    """The bytes of a range; None: they are not to be had in this way.

    Args:
        client: obstore's store.
        seconds: that it may take.

    Raises:
        RefusedError: the store refuses; with the pause of its Retry-After.
    """
    try:
        request = urllib.request.Request(*_address(client, key))
        request.add_header("Range", f"bytes={start}-{stop - 1}")
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            body = answer.read(stop - start + 1)
            return body if answer.status == 206 and len(body) == stop - start else None
    except urllib.error.HTTPError as error:
        if error.code in SLOW_DOWN:
            raise RefusedError(error.code, _pause(error.headers.get("Retry-After"))) from None
        return None
    except Exception:  # whatever it is, obstore asks again and says it
        return None


def _address(client: Any, key: str) -> tuple[str, None, dict[str, str]]:
    """URL and headers of a request, signed if the store wants that."""
    if type(client).__name__ == "HTTPStore":
        given = (client.client_options or {}).get("default_headers") or {}
        headers = {name: value if isinstance(value, str) else value.decode() for name, value in given.items()}
        return f"{client.url.rstrip('/')}/{quote(key)}", None, headers
    import obstore  # late: who reads files needs none

    return str(obstore.sign(client, "GET", key, timedelta(minutes=5))), None, {}


def _pause(text: str | None) -> float:
    """Seconds of a Retry-After: a number, or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(0.0, seconds), LONGEST_PAUSE)
