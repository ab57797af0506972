"""What is kept between reads of a file: datasets that were opened, and chunks that were decoded."""
