"""Convolutional networks in JAX whose gradients are written by hand.

Every operation is a pure function whose `jax.custom_vjp` rule is the textbook formula, at every
order of derivative. The names below stand in the order of the README's rule table.
"""

from jaxcnn.ops.conv import conv as conv
from jaxcnn.ops.conv import conv_input_grad as conv_input_grad
from jaxcnn.ops.conv import conv_kernel_grad as conv_kernel_grad
from jaxcnn.ops.conv_variants import true_conv as true_conv
from jaxcnn.ops.conv_variants import depthwise_conv as depthwise_conv
from jaxcnn.ops.table_conv import table_conv as table_conv
from jaxcnn.ops.conv_variants import conv_transpose as conv_transpose
from jaxcnn.ops.pad import pad as pad
from jaxcnn.ops.pad import fold_back as fold_back
from jaxcnn.ops.shape import rot180 as rot180
from jaxcnn.ops.shape import dilate as dilate
from jaxcnn.ops.shape import subsample as subsample
from jaxcnn.ops.max_pool import max_pool as max_pool
from jaxcnn.ops.max_pool import max_pool_with_switches as max_pool_with_switches
from jaxcnn.ops.switches import gather_at_switches as gather_at_switches
from jaxcnn.ops.switches import scatter_at_switches as scatter_at_switches
from jaxcnn.ops.switches import max_unpool as max_unpool
from jaxcnn.ops.sum_pool import avg_pool as avg_pool
from jaxcnn.ops.sum_pool import sum_pool as sum_pool
from jaxcnn.ops.sum_pool import sum_pool_input_grad as sum_pool_input_grad
from jaxcnn.ops.lp_pool import lp_pool as lp_pool
from jaxcnn.ops.global_pool import global_avg_pool as global_avg_pool
from jaxcnn.ops.global_pool import global_max_pool as global_max_pool
from jaxcnn.ops.adaptive_pool import adaptive_avg_pool as adaptive_avg_pool
from jaxcnn.ops.adaptive_pool import adaptive_max_pool as adaptive_max_pool
from jaxcnn.ops.sum_pool import upsample as upsample
from jaxcnn.ops.patches import patches as patches
from jaxcnn.ops.patches import fold as fold
from jaxcnn.ops.dense import dense as dense
from jaxcnn.ops.dense import dense_input_grad as dense_input_grad
from jaxcnn.ops.dense import dense_weight_grad as dense_weight_grad
from jaxcnn.ops.embedding import embedding as embedding
from jaxcnn.ops.embedding import embedding_table_grad as embedding_table_grad
from jaxcnn.ops.shape import flatten as flatten
from jaxcnn.ops.shape import unflatten as unflatten
from jaxcnn.ops.join import concatenate as concatenate
from jaxcnn.ops.join import split as split
from jaxcnn.ops.channels import pad_channels as pad_channels
from jaxcnn.ops.channels import crop_channels as crop_channels
from jaxcnn.ops.channels import scale_channels as scale_channels
from jaxcnn.ops.activation import relu as relu
from jaxcnn.ops.rectifiers import relu6 as relu6
from jaxcnn.ops.rectifiers import leaky_relu as leaky_relu
from jaxcnn.ops.rectifiers import elu as elu
from jaxcnn.ops.rectifiers import selu as selu
from jaxcnn.ops.rectifiers import hard_sigmoid as hard_sigmoid
from jaxcnn.ops.rectifiers import hard_tanh as hard_tanh
from jaxcnn.ops.rectifiers import hard_swish as hard_swish
from jaxcnn.ops.smooth import gelu as gelu
from jaxcnn.ops.smooth import silu as silu
from jaxcnn.ops.smooth import mish as mish
from jaxcnn.ops.smooth import softplus as softplus
from jaxcnn.ops.maxout import maxout as maxout
from jaxcnn.ops.activation import sigmoid as sigmoid
from jaxcnn.ops.activation import tanh as tanh
from jaxcnn.ops.activation import softmax as softmax
from jaxcnn.ops.activation import log_softmax as log_softmax
from jaxcnn.ops.batch_norm import batch_norm as batch_norm
from jaxcnn.ops.batch_norm import batch_norm_inference as batch_norm_inference
from jaxcnn.ops.norm import layer_norm as layer_norm
from jaxcnn.ops.norm import group_norm as group_norm
from jaxcnn.ops.norm import instance_norm as instance_norm
from jaxcnn.ops.norm import rms_norm as rms_norm
from jaxcnn.ops.local_response import local_response_norm as local_response_norm
from jaxcnn.ops.cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from jaxcnn.ops.probabilities import (
    sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy,
)
from jaxcnn.ops.regression import sigmoid_squared_error as sigmoid_squared_error
from jaxcnn.ops.regression import squared_error as squared_error
from jaxcnn.ops.regression import absolute_error as absolute_error
from jaxcnn.ops.regression import huber as huber
from jaxcnn.ops.regression import smooth_l1 as smooth_l1
from jaxcnn.ops.probabilities import kl_divergence as kl_divergence
from jaxcnn.ops.weight_decay import weight_decay as weight_decay
from jaxcnn.ops.dropout import dropout as dropout
from jaxcnn.ops.dropout import spatial_dropout as spatial_dropout
from jaxcnn.ops.drop_block import drop_block as drop_block
from jaxcnn.rules import custom_rule as custom_rule
from jaxcnn.twins import autodiff_twin as autodiff_twin
from jaxcnn.backprop import backprop as backprop
from jaxcnn.rewriting import with_rules as with_rules
from jaxcnn.compilation import jit as jit
from jaxcnn.compilation import compiler_options as compiler_options
from jaxcnn import gradcheck as gradcheck
from jaxcnn import initializers as initializers
from jaxcnn import interop as interop
from jaxcnn import layers as layers
from jaxcnn import models as models
from jaxcnn import rules as rules
