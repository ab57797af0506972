"""Which frames a prediction starts from, and when what it predicts is."""

from dataclasses import dataclass

import numpy as np

from ups_data.errors import UpsDataError


@dataclass(frozen=True)
class Times:
    """The starts of one trajectory.

    Attributes:
        starts: numbers of the (last) input frames.
        dt: `(starts, K)`, from each start to what is predicted.
        time: `(frames,)`, of the predicted frames: of one step from every start, or of K steps from the first.
        frames: `(frames,)`, their numbers in the trajectory; the last one's for those beyond it.
    """

    starts: list[int]
    dt: np.ndarray
    time: np.ndarray
    frames: np.ndarray


def times_of(
    time: np.ndarray, *, input_steps: int, stride: int, horizon: int, steps: int, gap: float, where: str
) -> Times:
    """One step ahead from every frame that has another one after it; several steps from the first frame that can be.

    Beyond the data's last frame, and where there is only one, time goes on in steps of the training's `gap`.

    Args:
        time: `(T,)` of the trajectory's frames.
        input_steps, stride: frames that the encoder sees, and frames from one to the next.
        horizon: of the training; 0: a frame is its own target.
        steps: K.
        where: the trajectory, for the message.

    Raises:
        UpsDataError: the trajectory is shorter than what the encoder sees.
    """
    first = (input_steps - 1) * stride
    if first >= len(time):
        raise UpsDataError(f"{where}: has {len(time)} frames, the model sees {first + 1}: give longer ones")
    if horizon == 0:
        starts = list(range(first, len(time)))
        return Times(starts, np.zeros((len(starts), 1)), time[starts], np.array(starts))
    if steps > 1:
        numbers = [first + k * stride for k in range(1, steps + 1)]
        ahead = np.array([_at(time, number, stride, gap) for number in numbers])
        return Times([first], (ahead - time[first])[None], ahead, np.minimum(numbers, len(time) - 1))
    starts = list(range(first, max(len(time) - stride, first + 1)))
    ahead = np.array([_at(time, start + stride, stride, gap) for start in starts])
    frames = np.minimum(np.array(starts) + stride, len(time) - 1)
    return Times(starts, (ahead - time[starts])[:, None], ahead, frames)


def _at(time: np.ndarray, frame: int, stride: int, gap: float) -> float:
    if frame < len(time):
        return float(time[frame])
    last = (len(time) - 1) - (len(time) - 1 - frame) % stride  # of the frames that lie whole steps before
    return float(time[last] + (frame - last) / stride * gap)
