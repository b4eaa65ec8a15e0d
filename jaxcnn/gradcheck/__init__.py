"""Checks of a derivative that share nothing with its derivation.

For any function of arrays, with a rule of ours, of yours, or none: its full Jacobian against
central differences (Gormley, "finite difference"), its pullbacks of any order against those of a
twin that JAX differentiates, its second derivatives against their transpose, and the identity that
makes one linear map the adjoint of another. Every error is relative to the largest element of what
it is compared with.

    assert_gradients(my_op, x, kernel, twin=plain_op, orders=3)

`python -m jaxcnn.gradcheck` does so with every rule of this package.
"""

from jaxcnn.gradcheck.checks import adjoint_error as adjoint_error
from jaxcnn.gradcheck.checks import assert_gradients as assert_gradients
from jaxcnn.gradcheck.checks import check_gradients as check_gradients
from jaxcnn.gradcheck.closure import ARITHMETIC as ARITHMETIC
from jaxcnn.gradcheck.closure import open_primitives as open_primitives
from jaxcnn.gradcheck.derivatives import default_step as default_step
from jaxcnn.gradcheck.derivatives import finite_differences as finite_differences
from jaxcnn.gradcheck.derivatives import jacobian as jacobian
from jaxcnn.gradcheck.derivatives import pullback as pullback
from jaxcnn.gradcheck.derivatives import pullback_arguments as pullback_arguments
from jaxcnn.gradcheck.derivatives import random_like as random_like
from jaxcnn.gradcheck.derivatives import second_derivatives as second_derivatives
from jaxcnn.gradcheck.derivatives import up_to_pullback as up_to_pullback
from jaxcnn.gradcheck.errors import FLOOR as FLOOR
from jaxcnn.gradcheck.errors import Finding as Finding
from jaxcnn.gradcheck.errors import relative_error as relative_error
from jaxcnn.gradcheck.modes import derivative as derivative
from jaxcnn.gradcheck.modes import derivative_arguments as derivative_arguments
from jaxcnn.gradcheck.modes import mixtures as mixtures
