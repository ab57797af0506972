"""Kármán–Trefftz airfoils in potential flow, exactly.

A circle through ζ = b is mapped onto an airfoil with a sharp trailing edge of angle τ (von Kármán & Trefftz 1918):

    z = n b (1 + qⁿ) / (1 − qⁿ),    q = (ζ − b) / (ζ + b),    n = 2 − τ / π

Around the circle of centre μ and radius R the flow is known,

    dw/dζ = U (e^{−iα} − e^{iα} R² / (ζ − μ)²) + iΓ / (2π (ζ − μ)),    Γ = 4π U R sin(α + β)

where Γ, the circulation, is clockwise and makes the flow leave the trailing edge smoothly (Kutta), b − μ = R e^{−iβ}.
The velocity is u − iv = (dw/dζ) / (dz/dζ); with Bernoulli cp = 1 − |u|² / U². Lengths are in chords, U = 1.
"""

from dataclasses import dataclass

import numpy as np

FAR = 12.0  # radius of the mesh's outer edge, in radii of the circle: about three chords
POINTS_AROUND, POINTS_OUTWARD = (160, 320), (40, 72)


@dataclass(frozen=True)
class Airfoil:
    """A shape and its angle of attack.

    Attributes:
        thickness, camber: −Re μ and Im μ, in units of b.
        edge: the trailing edge's angle τ, in radians.
        angle: of attack, α, in radians.
    """

    thickness: float
    camber: float
    edge: float
    angle: float

    @property
    def centre(self) -> complex:
        """μ, of the circle, where b = 1."""
        return complex(-self.thickness, self.camber)

    @property
    def radius(self) -> float:
        """R, of the circle, where b = 1."""
        return abs(1 - self.centre)

    @property
    def beta(self) -> float:
        """β: the trailing edge is at angle −β of the circle."""
        return float(np.arcsin(self.centre.imag / self.radius))

    @property
    def circulation(self) -> float:
        """Γ, clockwise, where b = 1 and U = 1."""
        return float(4 * np.pi * self.radius * np.sin(self.angle + self.beta))

    def mapped(self, zeta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z and dz/dζ, where b = 1."""
        n = 2 - self.edge / np.pi
        q = (zeta - 1) / (zeta + 1)
        power = q**n  # the cut, q < 0, lies inside of the circle
        slope = 2 * n**2 * q ** (n - 1) / (1 - power) ** 2
        return n * (1 + power) / (1 - power), slope * 2 / (zeta + 1) ** 2

    def velocity(self, zeta: np.ndarray) -> np.ndarray:
        """u + iv at the points that ζ is mapped onto; 0 at the trailing edge, which is a stagnation point (τ > 0)."""
        away = zeta - self.centre
        turn = np.exp(1j * self.angle)
        flow = turn.conjugate() - turn * self.radius**2 / away**2 + 1j * self.circulation / (2 * np.pi * away)
        _, slope = self.mapped(zeta)
        edge = zeta == 1
        return np.where(edge, 0, np.conj(flow / np.where(edge, 1, slope)))


@dataclass(frozen=True)
class Flow:
    """A body-fitted mesh with the flow on it: n points around, the first at the trailing edge, k outward.

    Attributes:
        points: `(k, n)` complex; row 0 is the surface.
        velocity: `(k, n)` complex, u + iv in units of U.
        normal: `(n,)` complex, outward, of length 1.
        chord: the chord before it was made 1: multiply by it what has the unit of b.
    """

    points: np.ndarray
    velocity: np.ndarray
    normal: np.ndarray
    chord: float

    @property
    def cp(self) -> np.ndarray:
        """`(n,)` pressure coefficient on the surface."""
        return 1 - np.abs(self.velocity[0]) ** 2

    @property
    def length(self) -> np.ndarray:
        """`(n,)` each surface point's share of the contour: half of the edges to both neighbours."""
        edge = np.abs(np.roll(self.points[0], -1) - self.points[0])
        return 0.5 * (edge + np.roll(edge, 1))

    @property
    def area(self) -> np.ndarray:
        """`(k, n)` each point's share of the domain: a quarter of every cell that it is a corner of."""
        here, there = self.points, np.roll(self.points, -1, axis=1)
        across, along = there[1:] - here[:-1], here[1:] - there[:-1]
        quarter = 0.25 * np.abs(0.5 * (across.conj() * along).imag)  # a quadrilateral's, from its diagonals
        quarter = quarter + np.roll(quarter, 1, axis=1)
        shares = np.zeros(self.points.shape)
        shares[:-1] += quarter
        shares[1:] += quarter
        return shares


def random_airfoil(rng: np.random.Generator) -> Airfoil:
    """Thickness 9 to 25 % of the chord, camber up to about 7 %, and −5° to 10° of attack."""
    thickness, camber, edge, angle = rng.uniform([0.05, 0.0, 3.0, -5.0], [0.18, 0.12, 20.0, 10.0])
    return Airfoil(float(thickness), float(camber), float(np.radians(edge)), float(np.radians(angle)))


def solve(airfoil: Airfoil, around: int, outward: int) -> Flow:
    """The flow at the images of a polar grid whose rings grow geometrically, in chords: the nose at x = 0, the trailing
    edge at x = 1."""
    angles = -airfoil.beta + 2 * np.pi * np.arange(around) / around
    rings = np.geomspace(1.0, FAR, outward)
    circle = np.exp(1j * angles)
    zeta = airfoil.centre + airfoil.radius * rings[:, None] * circle
    zeta[0, 0] = 1.0  # the trailing edge, without rounding
    z, slope = airfoil.mapped(zeta)
    nose, tail = z[0].real.min(), z[0, 0].real
    chord = float(tail - nose)
    turned = circle[1:] * slope[0, 1:]
    normal = np.concatenate([[1.0 + 0j], turned / np.abs(turned)])
    edge = normal[1] + normal[-1]  # the map has no direction at the trailing edge: between its neighbours'
    normal[0] = edge / abs(edge)
    points = (z - nose) / chord
    points[0, 0] = 1.0 + 1j * points[0, 0].imag
    return Flow(points, airfoil.velocity(zeta), normal, chord)


def random_flow(seed: int, number: int) -> tuple[Airfoil, Flow]:
    """Case `number` of a seed: its own shape, angle and size of mesh."""
    rng = np.random.default_rng([seed, number])
    airfoil = random_airfoil(rng)
    around, outward = (int(rng.integers(low, high, endpoint=True)) for low, high in (POINTS_AROUND, POINTS_OUTWARD))
    return airfoil, solve(airfoil, around, outward)
