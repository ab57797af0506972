"""The noise of a gradient, by mode and ratio."""

from ups_data.cli.tables.sheet import Sheet
from ups_data.training.noise import Noise


def noise_table(noise: Noise, *, judged: bool = False) -> Sheet:
    """σ_w² relative to σ_b², with standard errors.

    Args:
        judged: of the gradient as Adam sees it, by which settings are compared.
    """
    gradient = noise.judged if judged else noise.gradient
    ratios = sorted({ratio for of in gradient.within.values() for ratio in of})
    of_adam = ", as Adam sees it" if judged and noise.scaled is not None else ""
    title = f"variance within a sample ÷ between samples{of_adam}, {gradient.samples} samples"
    table = Sheet("mode", *(f"ratio {ratio:g}" for ratio in ratios), title=title, text=("mode",))
    scale = max(gradient.between, 1e-300)
    for mode, of in gradient.within.items():
        cells = [f"{of[r].variance / scale:.3g} ± {of[r].error / scale:.2g}" if r in of else "–" for r in ratios]
        table.add_row(mode, *cells)
    return table


def costs_line(noise: Noise) -> str:
    """Seconds of a step's parts."""
    costs, gradient = noise.costs, noise.gradient
    return (
        f"between samples: {gradient.between:.4g} ± {gradient.between_error:.2g}; squared norm of the mean gradient: "
        f"{gradient.signal:.4g}\na step takes {1e3 * costs.fixed:.2f} ms, and for each sample "
        f"{1e3 * costs.encoder:.2f} ms and {1e6 * costs.per_query:.2f} µs a query (misfit {costs.misfit:.0%})"
    )
