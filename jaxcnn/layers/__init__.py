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
from jaxcnn.layers.combinators import Serial as Serial
from jaxcnn.layers.combinators import serial as serial
from jaxcnn.layers.embedding import Embedding as Embedding
from jaxcnn.layers.leaves import Activation as Activation
from jaxcnn.layers.leaves import AvgPool as AvgPool
from jaxcnn.layers.leaves import Conv as Conv
from jaxcnn.layers.leaves import Dense as Dense
from jaxcnn.layers.leaves import Dropout as Dropout
from jaxcnn.layers.leaves import Flatten as Flatten
from jaxcnn.layers.leaves import MaxPool as MaxPool
from jaxcnn.layers.maxout import Maxout as Maxout
from jaxcnn.layers.regularisation import DropBlock as DropBlock
from jaxcnn.layers.regularisation import SpatialDropout as SpatialDropout
from jaxcnn.layers.summary import Row as Row
from jaxcnn.layers.summary import rows as rows
from jaxcnn.layers.summary import summary as summary
