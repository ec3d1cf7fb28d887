"""The word-level language model: books → tokens → Dataset → model → training → generation.

Its modules are imported by name, so that finding a book does not wait for PyTorch to load.
"""
