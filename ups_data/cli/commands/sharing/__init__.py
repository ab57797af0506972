"""Commands for those who hand a dataset on."""
