"""What a training run leaves behind and goes on from: checkpoints, metrics, results, random states."""
