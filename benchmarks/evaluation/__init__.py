"""What evaluating costs."""
