"""Where a conversion makes its plan."""
