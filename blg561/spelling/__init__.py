"""Spelling to sound: an encoder-decoder reads the letters of a word and writes its phonemes.

`data` and `recipes` need NumPy alone, all else PyTorch.
"""
