"""The protocol of models, and the built-in one: encoder, operator and decoder. Nothing here knows a file."""
