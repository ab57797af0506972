"""How good a model is: validation while it is trained, and every measure of a finished run."""
