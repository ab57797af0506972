"""Diffusion–reaction in two dimensions, as PDEBench solves it.

FitzHugh–Nagumo on [-1, 1]² without flux through the walls:

    ∂u/∂t = Du ∆u + u - u³ - k - v,    ∂v/∂t = Dv ∆v + u - v

with Du = 1e-3, Dv = 5e-3, k = 5e-3, from white noise. Space is discretised as PDEBench does (second-order finite
volumes on cell centres), time by the classical Runge–Kutta scheme with fixed steps. With the seeds, the size (128) and
the frames of PDEBench's file it reproduces that file; `tests/cli/test_simulate.py` compares them.
"""

import numpy as np

DU, DV, K = 1e-3, 5e-3, 5e-3
END = 5.0  # time, as PDEBench's
REACTION = 48.0  # the decay rate of u³ where the noise is largest, 3 · 4²
STEP = 0.75  # times the fastest decay rate; the scheme is stable up to 2.78, and errs with the fourth power


def white_noise(size: int, seed: int) -> np.ndarray:
    """`(2, size, size)`: u and v of PDEBench's initial state for this seed, standard normal in every cell."""
    return np.random.default_rng(seed).standard_normal((2, size, size))


def rate(state: np.ndarray, spacing: float) -> np.ndarray:
    """The time derivative of `state` `(2, B, n, n)`, u and v of B trajectories."""
    flux = -4.0 * state
    flux[..., 1:, :] += state[..., :-1, :]
    flux[..., :-1, :] += state[..., 1:, :]
    flux[..., :, 1:] += state[..., :, :-1]
    flux[..., :, :-1] += state[..., :, 1:]
    # a wall's neighbour beyond it is the cell itself: no flux
    for edge in (np.s_[..., :1, :], np.s_[..., -1:, :], np.s_[..., :, :1], np.s_[..., :, -1:]):
        flux[edge] += state[edge]
    flux[0] *= DU / spacing**2
    flux[1] *= DV / spacing**2
    u, v = state
    flux[0] += u * (1.0 - u * u) - v - K
    flux[1] += u - v
    return flux


def solve(initial: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`(B, 2, n, n)` at `times[0]` → `(B, T, n, n, 2)` float32 at all of `times`.

    The step is the largest that divides a frame and keeps to STEP, for diffusion (rate 8 Dv / h²) and reaction.
    """
    spacing = 2.0 / initial.shape[-1]
    state = np.ascontiguousarray(np.moveaxis(initial, 1, 0), dtype=np.float64)
    frames = [state]
    for interval in np.diff(times):
        count = int(np.ceil(interval * (8 * DV / spacing**2 + REACTION) / STEP))
        step = interval / count
        for _ in range(count):
            a = rate(state, spacing)
            b = rate(state + 0.5 * step * a, spacing)
            c = rate(state + 0.5 * step * b, spacing)
            d = rate(state + step * c, spacing)
            state = state + (step / 6.0) * (a + 2.0 * (b + c) + d)
        frames.append(state)
    return np.stack(frames).transpose(2, 0, 3, 4, 1).astype(np.float32)
