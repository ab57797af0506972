"""The steps of `ups-data quickstart`, problem by problem."""
