"""A trained model's predictions as files: `predict_run`, and the formats that they are written in."""
