"""Frames of one field: what is read of them, and the copies that make tensors of a batch."""

from ups_data.batch.frames.base import Frames, Positions, Stored
from ups_data.batch.frames.in_memory import ArrayFrames, RepeatedFrame
from ups_data.batch.frames.joined import JoinedFrames, joined, joined_positions
from ups_data.batch.frames.measure import Measure, joined_measures
from ups_data.batch.frames.packed import PackedPieces
from ups_data.batch.frames.pieces import Copyable, Pieces
from ups_data.batch.frames.reads import Chunks, Read, joined_chunks
from ups_data.batch.frames.scaled import scaled

__all__ = [
    "ArrayFrames",
    "Chunks",
    "Copyable",
    "Frames",
    "JoinedFrames",
    "Measure",
    "PackedPieces",
    "Pieces",
    "Positions",
    "Read",
    "RepeatedFrame",
    "Stored",
    "joined",
    "joined_chunks",
    "joined_measures",
    "joined_positions",
    "scaled",
]
