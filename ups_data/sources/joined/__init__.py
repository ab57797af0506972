"""Sources made of other sources: files of one run one after another, axes turned the same way."""
