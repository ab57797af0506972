"""Why a request failed, in words of this project: a client's own text may repeat URLs with signatures in them."""

import re
from dataclasses import dataclass

_STATUS = re.compile(r"status code: (\d{3})(?: ([A-Za-z ]+))?")
SLOW_DOWN = (429, 503)


@dataclass(frozen=True)
class Reason:
    """Why one attempt failed.

    Attributes:
        text: for messages.
        kind: "missing": there is no such object; "final": another attempt would fail as well; "refused": the store
            wants fewer requests; "doubtful": it may be the server's way, so a few attempts are made; "connect": the
            server was not reached; "passing": worth another attempt.
        pause: seconds in which the store wants no requests.
    """

    text: str
    kind: str
    pause: float = 0.0


def reason_of(error: BaseException) -> Reason:
    """What an exception of obstore's means."""
    text, name = str(error), type(error).__name__
    status = _STATUS.search(text.partition("\n")[0])
    code = int(status[1]) if status else 0
    answer = f"the store answered {code} {(status[2] or '').strip()}".strip() if status else ""
    if isinstance(error, FileNotFoundError) or code == 404:
        return Reason("it is not there", "missing")
    if name in ("PermissionDeniedError", "UnauthenticatedError") or code in (401, 403):
        return Reason(f"{answer or 'access was denied'}: credentials are missing, wrong or expired", "final")
    if name == "NotSupportedError":
        return Reason("the server answered with the whole object, where a range was asked for", "doubtful")
    if code in SLOW_DOWN:
        return Reason(answer, "refused")
    if code == 416:
        return Reason("the object is shorter than that", "final")
    if 400 <= code < 500 and code != 408:
        return Reason(answer, "final")
    if code:
        return Reason(answer, "passing")
    if "kind: Connect" in text or "dns error" in text.lower():
        return Reason("the server was not reached: its name or the network may be wrong", "connect")
    if "TimedOut" in text or "kind: Timeout" in text or isinstance(error, TimeoutError):
        return Reason("no answer came in time", "passing")
    if "Body" in text or "Interrupted" in text:
        return Reason("the connection was closed in the middle of the answer", "passing")
    if "credential" in text.lower():
        return Reason("no credentials were found, or they could not be used", "doubtful")
    return Reason(f"the request failed ({name})", "passing")
