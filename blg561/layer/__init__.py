"""Layers in NumPy alone, recurrent and not, with their backward passes written out."""

from blg561.layer.attention import AdditiveAttention, DotProductAttention
from blg561.layer.encoder_decoder import EncoderDecoder
from blg561.layer.feedforward_layers import (
    AffineLayer,
    Dropout,
    EmbeddingLayer,
    SoftmaxCrossEntropy,
)
from blg561.layer.language_model import NumpyLanguageModel
from blg561.layer.layer import Layer
from blg561.layer.minimal_gru import MinGRULayer
from blg561.layer.recurrent_layers import GRULayer, LSTMLayer, RNNLayer
from blg561.layer.self_attention import SelfAttentionLayer

__all__ = [
    "AdditiveAttention",
    "AffineLayer",
    "DotProductAttention",
    "Dropout",
    "EmbeddingLayer",
    "EncoderDecoder",
    "GRULayer",
    "LSTMLayer",
    "Layer",
    "MinGRULayer",
    "NumpyLanguageModel",
    "RNNLayer",
    "SelfAttentionLayer",
    "SoftmaxCrossEntropy",
]
