"""Every option of a loader, written once."""

from ups_data.loader.options.fields import collected, takes_options
from ups_data.loader.options.record import LoaderOptions, Ragged, Sampling, as_sampling

__all__ = ["LoaderOptions", "Ragged", "Sampling", "as_sampling", "collected", "takes_options"]
