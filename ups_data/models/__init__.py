"""The reference model: encoder, operator and decoder. It knows no files."""
