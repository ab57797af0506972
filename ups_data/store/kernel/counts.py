"""What the kernel has read from disks for a thread: its own count, which includes what it read ahead."""

import resource

UNIT = 512  # bytes, of what `getrusage` counts


def thread_reads() -> int:
    """Bytes that were read from disks for the calling thread since it started: the `read_bytes` of its `/proc/…/io`.

    What is in memory already costs nothing, nor does what another thread has asked for. Always 0 on systems that do not
    count by thread.
    """
    which = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if which is None else resource.getrusage(which).ru_inblock * UNIT
