"""AdamW with warm-up and cosine, gradient clipping, mixed precision, averaged weights: from a loss to a step."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ups_data.training.config import TrainingConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Optimiser:
    """AdamW (Loshchilov & Hutter 2019) over a module's parameters.

    The learning rate rises linearly over the warm-up steps and then falls along a cosine to 1 % of its peak. fp16
    gradients are scaled so that small ones survive (Micikevicius et al. 2018); fp32 and bf16 need no scaling.

    Args:
        steps_per_epoch: optimiser steps in each of `settings.epochs`.
    """

    def __init__(self, model: nn.Module, settings: TrainingConfig, steps_per_epoch: int, device: torch.device) -> None:
        self.parameters = list(model.parameters())
        self.device_type, self.precision, self.clip = device.type, settings.precision, settings.grad_clip
        self.adam = torch.optim.AdamW(
            self.parameters, lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.99)
        )
        warmup, total = settings.lr_warmup_steps, settings.steps_in_all(steps_per_epoch)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adam, factor)
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=settings.precision == "fp16")
        self._scaled = False  # whether there are gradients

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        rate: float = self.adam.param_groups[0]["lr"]
        return rate

    def autocast(self) -> torch.autocast:
        """The precision in which the forward pass runs."""
        return torch.autocast(self.device_type, DTYPES[self.precision], enabled=self.precision != "fp32")

    def zero_grad(self) -> None:
        """Forget the gradients: a step begins."""
        self.adam.zero_grad(set_to_none=True)
        self._scaled = False

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, or of a part of it, to those that `step` is going to use; a loss without any
        term (inverse losses before their warm-up) adds none."""
        if loss.requires_grad:
            self._scaled = True
            self.scaler.scale(loss).backward()

    def step(self) -> None:
        """Update the parameters, if there are gradients, and the learning rate."""
        if self._scaled:
            self.scaler.unscale_(self.adam)
            if self.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
            self.scaler.step(self.adam)
            self.scaler.update()
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of Adam, of the learning rate's schedule and of the loss scale."""
        return {
            "adam": self.adam.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError: a state of other parameters, or none at all.
        """
        fresh, found = self.state_dict(), state["adam"]["state"]
        moments = {
            number: {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            for number, parameter in enumerate(self.parameters)
            if number in found
        }
        state = alike(state, {**fresh, "adam": {**fresh["adam"], "state": moments}})
        # Constants are as the settings say: Adam would meet a crafted one of the state in the middle of a step.
        self.schedule.load_state_dict({**state["schedule"], "base_lrs": self.schedule.base_lrs})
        taken = self.schedule.last_epoch
        rates = [
            lr * factor(taken) for lr, factor in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        own = fresh["adam"]["param_groups"]
        state["adam"]["param_groups"] = [{**group, "lr": rate} for group, rate in zip(own, rates, strict=True)]
        self.adam.load_state_dict(state["adam"])
        self.scaler.load_state_dict(state["scaler"])


class Average:
    """An exponential moving average of a model's parameters, in a copy of the model (Polyak & Juditsky, 1992).

    After each step, averaged = decay · averaged + (1 − decay) · parameters; it begins with those of the first step.
    Buffers are those of the model.

    Args:
        decay: between 0 and 1; 0.999 averages over some 1,000 steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)).eval().requires_grad_(False)

    @property
    def model(self) -> nn.Module:
        """The copy."""
        return self.averaged.module

    def update(self, model: nn.Module) -> None:
        """A step was taken."""
        self.averaged.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        """The copy's weights, and of how many steps they are."""
        return {"model": self.model.state_dict(), "steps": int(self.averaged.n_averaged)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            RuntimeError: weights of another model.
        """
        self.model.load_state_dict(state["model"])
        self.averaged.n_averaged.fill_(state["steps"])


def alike(found: Any, expected: Any, name: str = "optimiser") -> Any:
    """What of a state is of the form expected: another version of torch may have had more keys, or fewer.

    Without it, a crafted state ends in an error in the middle of a step, or replaces a method of the schedule.

    Raises:
        ValueError: a value of another type, or a tensor of another shape; the message says where.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        return {
            key: alike(found[key], value, f"{name}.{key}") if key in found else value for key, value in expected.items()
        }
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple) and len(found) == len(expected):
        return type(expected)(alike(f, e, f"{name}.{n}") for n, (f, e) in enumerate(zip(found, expected, strict=True)))
    if isinstance(expected, Tensor):
        fits = isinstance(found, Tensor) and found.shape == expected.shape and found.is_floating_point()
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        fits = isinstance(found, int | float) and math.isfinite(found)
    else:
        fits = expected is None or type(found) is type(expected)
    if not fits:
        raise ValueError(f"{name} is {type(found).__name__}, not as {type(expected).__name__} of this model")
    return found
