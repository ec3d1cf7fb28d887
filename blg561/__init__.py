"""Recurrent networks from the equation of a cell to a trained language model.

`blg561.layer` holds the NumPy layers with hand-written backward passes, `blg561.language_model` the
PyTorch language model. Importing `blg561` imports neither, so it is quick and needs no PyTorch.
"""

__version__ = "0.1.0"
