"""How noisy a training step's gradient is, what a step costs, and how many points of how many samples pay."""

from ups_data.training.noise.advice import Advice, advise
from ups_data.training.noise.costs import StepCosts, StepMemory
from ups_data.training.noise.gradients import GradientNoise, Within
from ups_data.training.noise.measure import Noise, measure_noise

__all__ = ["Advice", "GradientNoise", "Noise", "StepCosts", "StepMemory", "Within", "advise", "measure_noise"]
