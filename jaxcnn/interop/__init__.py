"""Doors to other libraries: functions with their signatures, and their weights.

Drop-ins are functions with the signatures of `jax.lax` and Flax that apply the rules of jaxcnn. An
existing model gets the hand-written gradients by being given these functions for its own:

    nnx.Conv(..., conv_general_dilated=jaxcnn.interop.conv_general_dilated)

Each brings its arguments into the canonical layout (batch, space, channels) by transposes and
reshapes, applies a rule, and goes back. They take floats only, and refuse what is empty. Flax's
ConvTranspose calls `jax.lax.conv_transpose` itself and takes no function: that drop-in is for
models that call it by name.

`from_torch` puts weights of PyTorch into a network of `jaxcnn.layers`, `to_safetensors` writes
those of any network:

    params, state = from_torch(models.vgg(16), "vgg16.safetensors", (224, 224, 3))
"""

from jaxcnn.interop.conv import conv_general_dilated as conv_general_dilated
from jaxcnn.interop.conv import conv_transpose as conv_transpose
from jaxcnn.interop.onnx import from_onnx as from_onnx
from jaxcnn.interop.onnx import to_onnx as to_onnx
from jaxcnn.interop.pool import avg_pool as avg_pool
from jaxcnn.interop.pool import max_pool as max_pool
from jaxcnn.interop.pool import min_pool as min_pool
from jaxcnn.interop.weights.reading import from_torch as from_torch
from jaxcnn.interop.weights.safetensors import to_safetensors as to_safetensors
