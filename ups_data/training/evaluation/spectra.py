"""Where in the spectrum a prediction on a grid is off: bands of wavenumbers, as PDEBench reports them.

PDEBench's fRMSE (Takamoto et al. 2022, appendix B): the error's discrete Fourier transform, its squares added up over
shells ⌊|k|⌋ = 0, 1, …, each shell's mean over the frames, the root of that, divided by the number of grid points; then
the mean over the shells of a band: low k < 4, mid 4 ≤ k < 12, high k ≥ 12. Along each of several axes k runs over
0, …, n/2 − 1 (one quadrant of the spectrum), along a single one up to n/2, and shells up to the shortest axis' n/2 − 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}


def shell_errors(predicted: Tensor, target: Tensor, grid: Sequence[int]) -> Tensor:
    """Squared amplitudes of the error by shell: `(..., N, C)` on a grid, row-major → `(..., C, shells)` float64."""
    error = (predicted.double() - target.double()).movedim(-1, -2).unflatten(-1, tuple(grid))
    axes = tuple(range(-len(grid), 0))
    if len(grid) == 1:
        return torch.fft.rfft(error, dim=-1).abs().square()
    power = torch.fft.fftn(error, dim=axes).abs().square()
    for axis, n in zip(axes, grid, strict=True):
        power = power.narrow(axis, 0, max(n // 2, 1))
    shells, shell = max(min(grid) // 2, 1), shell_numbers(power.shape[-len(grid) :], power.device)
    inside = shell < shells
    sums = power.new_zeros(*power.shape[: -len(grid)], shells)
    return sums.index_add_(-1, shell[inside], power.flatten(-len(grid))[..., inside])


def shell_numbers(shape: Sequence[int], device: torch.device) -> Tensor:
    """⌊|k|⌋ of every wavenumber of a quadrant, row-major."""
    axes = torch.meshgrid(*(torch.arange(n, device=device) for n in shape), indexing="ij")
    square = sum((k.square() for k in axes), torch.zeros_like(axes[0]))
    root = square.double().sqrt().floor().long()
    return root.flatten()


def bands_of(mean_shells: Tensor, points: int) -> dict[str, float]:
    """The bands of shells `(C, shells)`, already averaged over frames; the mean over channels.

    A band without shells, on a grid that is too coarse for it, is left out.
    """
    amplitude = mean_shells.sqrt() / points
    parts = {name: amplitude[:, start:stop] for name, (start, stop) in BANDS.items()}
    return {name: part.mean().item() for name, part in parts.items() if part.shape[-1]}
