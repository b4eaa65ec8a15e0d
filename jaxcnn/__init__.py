"""Convolutional networks in JAX whose gradients are written by hand.

Every operation is a pure function whose `jax.custom_vjp` rule is the textbook formula, at every
order of derivative. The names below stand in the order of the README's rule table.
"""

from jaxcnn import gradcheck as gradcheck
from jaxcnn import layers as layers
from jaxcnn import models as models
from jaxcnn.ops.activation import log_softmax as log_softmax
from jaxcnn.ops.activation import relu as relu
from jaxcnn.ops.activation import sigmoid as sigmoid
from jaxcnn.ops.activation import softmax as softmax
from jaxcnn.ops.activation import tanh as tanh
from jaxcnn.ops.conv import conv as conv
from jaxcnn.ops.conv import conv_input_grad as conv_input_grad
from jaxcnn.ops.conv import conv_kernel_grad as conv_kernel_grad
from jaxcnn.ops.cross_entropy import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxcnn.ops.cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from jaxcnn.ops.dense import dense as dense
from jaxcnn.ops.dense import dense_input_grad as dense_input_grad
from jaxcnn.ops.dense import dense_weight_grad as dense_weight_grad
from jaxcnn.ops.divergence import kl_divergence as kl_divergence
from jaxcnn.ops.drop_block import drop_block as drop_block
from jaxcnn.ops.dropout import dropout as dropout
from jaxcnn.ops.dropout import spatial_dropout as spatial_dropout
from jaxcnn.ops.embedding import embedding as embedding
from jaxcnn.ops.embedding import embedding_table_grad as embedding_table_grad
from jaxcnn.ops.max_pool import gather_at_switches as gather_at_switches
from jaxcnn.ops.max_pool import max_pool as max_pool
from jaxcnn.ops.max_pool import max_pool_with_switches as max_pool_with_switches
from jaxcnn.ops.max_pool import scatter_at_switches as scatter_at_switches
from jaxcnn.ops.maxout import maxout as maxout
from jaxcnn.ops.rectifiers import elu as elu
from jaxcnn.ops.rectifiers import hard_sigmoid as hard_sigmoid
from jaxcnn.ops.rectifiers import hard_swish as hard_swish
from jaxcnn.ops.rectifiers import hard_tanh as hard_tanh
from jaxcnn.ops.rectifiers import leaky_relu as leaky_relu
from jaxcnn.ops.rectifiers import relu6 as relu6
from jaxcnn.ops.rectifiers import selu as selu
from jaxcnn.ops.regression import absolute_error as absolute_error
from jaxcnn.ops.regression import huber as huber
from jaxcnn.ops.regression import sigmoid_squared_error as sigmoid_squared_error
from jaxcnn.ops.regression import smooth_l1 as smooth_l1
from jaxcnn.ops.regression import squared_error as squared_error
from jaxcnn.ops.shape import dilate as dilate
from jaxcnn.ops.shape import flatten as flatten
from jaxcnn.ops.shape import rot180 as rot180
from jaxcnn.ops.shape import subsample as subsample
from jaxcnn.ops.shape import unflatten as unflatten
from jaxcnn.ops.smooth import gelu as gelu
from jaxcnn.ops.smooth import mish as mish
from jaxcnn.ops.smooth import silu as silu
from jaxcnn.ops.smooth import softplus as softplus
from jaxcnn.ops.sum_pool import avg_pool as avg_pool
from jaxcnn.ops.sum_pool import sum_pool as sum_pool
from jaxcnn.ops.sum_pool import sum_pool_input_grad as sum_pool_input_grad
from jaxcnn.ops.sum_pool import upsample as upsample
from jaxcnn.ops.weight_decay import weight_decay as weight_decay
from jaxcnn.twins import autodiff_twin as autodiff_twin
