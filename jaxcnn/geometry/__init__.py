"""The static geometry of a window that slides over a map: parsed and checked once, here.

A frozen, hashable `Geometry` is shared by a convolution, its two gradients and every pooling, so a
strided adjoint is never ambiguous: it gets the geometry of the forward pass, remainder included.
"""

from jaxcnn.geometry.padding import Padding as Padding
from jaxcnn.geometry.padding import check_padding as check_padding
from jaxcnn.geometry.padding import parse_padding as parse_padding
from jaxcnn.geometry.pool import AdaptiveGeometry as AdaptiveGeometry
from jaxcnn.geometry.pool import parse_pool_geometry as parse_pool_geometry
from jaxcnn.geometry.pool import pooled as pooled
from jaxcnn.geometry.pool import smallest_pooled as smallest_pooled
from jaxcnn.geometry.pool import unpooled as unpooled
from jaxcnn.geometry.resize import COORDINATES as COORDINATES
from jaxcnn.geometry.resize import METHODS as METHODS
from jaxcnn.geometry.resize import ROUNDINGS as ROUNDINGS
from jaxcnn.geometry.resize import ResizeGeometry as ResizeGeometry
from jaxcnn.geometry.resize import Scale as Scale
from jaxcnn.geometry.resize import check_scale as check_scale
from jaxcnn.geometry.resize import parse_resize_geometry as parse_resize_geometry
from jaxcnn.geometry.sliding import Geometry as Geometry
from jaxcnn.geometry.sliding import Method as Method
from jaxcnn.geometry.sliding import PerAxis as PerAxis
from jaxcnn.geometry.sliding import Precision as Precision
from jaxcnn.geometry.sliding import parse_geometry as parse_geometry
from jaxcnn.geometry.transposed import parse_transposed_geometry as parse_transposed_geometry
