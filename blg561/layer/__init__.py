"""Recurrent layers in NumPy alone, with their backward passes written out."""

from blg561.layer.layer import Layer
from blg561.layer.recurrent_layers import GRULayer, LSTMLayer, RNNLayer

__all__ = ["GRULayer", "LSTMLayer", "Layer", "RNNLayer"]
