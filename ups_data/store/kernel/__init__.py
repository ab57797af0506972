"""What the kernel is told of files that are mapped, and what it says of the disk."""
