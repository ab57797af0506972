"""Files of torch.save, read without running any code that they hold."""
