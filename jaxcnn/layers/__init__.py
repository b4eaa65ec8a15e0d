"""Networks as data: a layer is an operation with its static settings, a network a tree of layers.

What one does with the value are interpreters over it: `init` draws the parameters, `apply` runs it,
`summary` describes it, `jaxcnn.autodiff_twin` swaps its rules for plain operations. Parameters and
state are nested dicts under the names of the layers; a layer without any does not appear in them.

    net = serial(Conv(6, 5), Activation(relu), MaxPool(2), Flatten(), output=Dense(10))
    params, state = net.init(jax.random.key(0), (28, 28, 1))
    logits, state = net.apply(params, state, images)
"""

from jaxcnn.layers.base import Layer as Layer
from jaxcnn.layers.base import Leaf as Leaf
from jaxcnn.layers.channels import CropChannels as CropChannels
from jaxcnn.layers.channels import PadChannels as PadChannels
from jaxcnn.layers.channels import Scale as Scale
from jaxcnn.layers.channels import ScaleChannels as ScaleChannels
from jaxcnn.layers.combinators import Branches as Branches
from jaxcnn.layers.combinators import Identity as Identity
from jaxcnn.layers.combinators import Serial as Serial
from jaxcnn.layers.combinators import concatenated as concatenated
from jaxcnn.layers.combinators import heads as heads
from jaxcnn.layers.combinators import residual as residual
from jaxcnn.layers.combinators import serial as serial
from jaxcnn.layers.conv import Conv as Conv
from jaxcnn.layers.conv import TrueConv as TrueConv
from jaxcnn.layers.conv_variants import ConvTranspose as ConvTranspose
from jaxcnn.layers.conv_variants import DepthwiseConv as DepthwiseConv
from jaxcnn.layers.conv_variants import TableConv as TableConv
from jaxcnn.layers.conv_variants import separable_conv as separable_conv
from jaxcnn.layers.embedding import Embedding as Embedding
from jaxcnn.layers.leaves import Activation as Activation
from jaxcnn.layers.leaves import Dense as Dense
from jaxcnn.layers.leaves import Flatten as Flatten
from jaxcnn.layers.leaves import PReLU as PReLU
from jaxcnn.layers.maxout import Maxout as Maxout
from jaxcnn.layers.norm import BatchNorm as BatchNorm
from jaxcnn.layers.norm import GroupNorm as GroupNorm
from jaxcnn.layers.norm import InstanceNorm as InstanceNorm
from jaxcnn.layers.norm import LayerNorm as LayerNorm
from jaxcnn.layers.norm import LocalResponseNorm as LocalResponseNorm
from jaxcnn.layers.norm import RMSNorm as RMSNorm
from jaxcnn.layers.partial import up_to as up_to
from jaxcnn.layers.pool import AdaptiveAvgPool as AdaptiveAvgPool
from jaxcnn.layers.pool import AdaptiveMaxPool as AdaptiveMaxPool
from jaxcnn.layers.pool import AvgPool as AvgPool
from jaxcnn.layers.pool import GlobalAvgPool as GlobalAvgPool
from jaxcnn.layers.pool import GlobalMaxPool as GlobalMaxPool
from jaxcnn.layers.pool import LpPool as LpPool
from jaxcnn.layers.pool import MaxPool as MaxPool
from jaxcnn.layers.pool import SumPool as SumPool
from jaxcnn.layers.pool import Upsample as Upsample
from jaxcnn.layers.regularisation import DropBlock as DropBlock
from jaxcnn.layers.regularisation import Dropout as Dropout
from jaxcnn.layers.regularisation import SpatialDropout as SpatialDropout
from jaxcnn.layers.shape import Dilate as Dilate
from jaxcnn.layers.shape import Fold as Fold
from jaxcnn.layers.shape import Pad as Pad
from jaxcnn.layers.shape import Patches as Patches
from jaxcnn.layers.shape import PixelShuffle as PixelShuffle
from jaxcnn.layers.shape import PixelUnshuffle as PixelUnshuffle
from jaxcnn.layers.shape import Resize as Resize
from jaxcnn.layers.shape import Subsample as Subsample
from jaxcnn.layers.shape import Unflatten as Unflatten
from jaxcnn.layers.summary import Row as Row
from jaxcnn.layers.summary import Summary as Summary
from jaxcnn.layers.summary import rows as rows
from jaxcnn.layers.summary import summary as summary
