"""Every option of a loader, written once."""

from ups_data.loader.options.fields import collected, takes_options
from ups_data.loader.options.points import Coords, Inputs, Ragged, Sampling, read_samplings
from ups_data.loader.options.record import LoaderOptions
from ups_data.store.remote.secrets import StoreOptions

__all__ = [
    "Coords",
    "Inputs",
    "LoaderOptions",
    "Ragged",
    "Sampling",
    "StoreOptions",
    "collected",
    "read_samplings",
    "takes_options",
]
