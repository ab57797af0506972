"""Parts of runs: windows of frames, and the points of a region."""
