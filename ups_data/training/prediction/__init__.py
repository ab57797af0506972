"""A trained model's predictions as files: `predict_run`, and the formats that they are written in."""

from ups_data.training.prediction.run import Asked, predict_run

__all__ = ["Asked", "predict_run"]
