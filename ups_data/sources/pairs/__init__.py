"""Arrays over trajectories without a fixed order of axes: inputs and outputs as operator learning saves them."""
