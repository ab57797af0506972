"""The Well (https://polymathic-ai.org/the_well/data_format): HDF5 with fields by tensor order, flags and boundaries."""
