"""Which points a training step draws, as a configuration asks for them."""
