"""Problems that `ups-data simulate` solves."""
