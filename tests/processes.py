"""What tests that start processes share."""

import signal


def heed_ctrl_c() -> None:
    """For `preexec_fn`: a shell's background jobs, as pytest may be one, ignore SIGINT, and so does what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
