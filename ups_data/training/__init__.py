"""Training of the built-in model or of one's own: it receives points, and never knows how they were chosen."""

from ups_data.models.decoder import AnyPointDecoder, decode_dense
from ups_data.models.encoder import GridEncoder
from ups_data.models.normalize import Normalizer
from ups_data.models.operator import LatentOperator
from ups_data.models.protocol import LossBundle, LossContext, Model, QuerySets, query_errors
from ups_data.models.reference import UpsModel, build_model
from ups_data.points.coords import make_grid_coords
from ups_data.training.bundle import compute_operator_loss_bundle
from ups_data.training.config import TrainConfig, load_config
from ups_data.training.evaluation.report import Report
from ups_data.training.evaluation.run import evaluate_run
from ups_data.training.evaluation.validation import Evaluation, evaluate
from ups_data.training.loop import StepRecord, TrainResult, train
from ups_data.training.losses import (
    inverse_decoding_loss,
    inverse_encoding_loss,
    latent_step_loss,
    prediction_loss,
    rollout_loss,
    spectral_loss,
)
from ups_data.training.runs.trained import load_trained
from ups_data.training.sinks import CsvSink, Sink, TensorBoardSink, WandbSink, scalars
from ups_data.training.step import batch_losses, loss_context

__all__ = [
    "AnyPointDecoder",
    "CsvSink",
    "Evaluation",
    "GridEncoder",
    "LatentOperator",
    "LossBundle",
    "LossContext",
    "Model",
    "Normalizer",
    "QuerySets",
    "Report",
    "Sink",
    "StepRecord",
    "TensorBoardSink",
    "TrainConfig",
    "TrainResult",
    "UpsModel",
    "WandbSink",
    "batch_losses",
    "build_model",
    "compute_operator_loss_bundle",
    "decode_dense",
    "evaluate",
    "evaluate_run",
    "inverse_decoding_loss",
    "inverse_encoding_loss",
    "latent_step_loss",
    "load_config",
    "load_trained",
    "loss_context",
    "make_grid_coords",
    "prediction_loss",
    "query_errors",
    "rollout_loss",
    "scalars",
    "spectral_loss",
    "train",
]
