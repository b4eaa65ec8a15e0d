"""Attribution: which elements of an input made a score, by other backward rules.

Each method takes `net, params, state, x` and a `target`. net is a network of `jaxcnn.layers`, or
any JAX function of `params, state, x` that returns the output, or a tuple whose first entry it is:
`net.apply` itself, or `lambda params, state, x: model.apply(params, x)`. It runs in inference mode.
target is a class, or one for each example, of a row of classes; a function of the output that makes
one number for each example; or None, the class with the largest output. The result has the shape of
x, class activation maps that of the layer.

A method that needs gradients alone, or none, takes every function. One that changes a rule takes
all that `jaxcnn.with_rules` recognises, and names what it does not know.

TypeError: net is none of these, x is not of floats, an argument not of its kind. ValueError: target
is no class of the output, or the output is no row of classes and target no function.
"""

from jaxcnn.attribution.cam import grad_cam as grad_cam
from jaxcnn.attribution.cam import grad_cam_plus_plus as grad_cam_plus_plus
from jaxcnn.attribution.gradients import gradient_times_input as gradient_times_input
from jaxcnn.attribution.gradients import integrated_gradients as integrated_gradients
from jaxcnn.attribution.gradients import saliency as saliency
from jaxcnn.attribution.gradients import smooth_grad as smooth_grad
from jaxcnn.attribution.occlusion import occlusion as occlusion
from jaxcnn.attribution.rectifiers import deconvolution as deconvolution
from jaxcnn.attribution.rectifiers import guided_backprop as guided_backprop
from jaxcnn.attribution.relevance import Relevance as Relevance
from jaxcnn.attribution.relevance import lrp as lrp
from jaxcnn.attribution.relevance import relevance as relevance
from jaxcnn.attribution.rescale import deep_lift as deep_lift
from jaxcnn.pictures import picture as picture
from jaxcnn.swapping import swap_rules as swap_rules
from jaxcnn.swapping import with_backward as with_backward
