"""Argument checks shared by all operations: one sentence that names the argument and both values.

They run on shapes and dtypes, which are known while tracing too, so a mistake is reported where it
is made and not from inside the compiler.
"""

from jaxcnn.check.arrays import at_least as at_least
from jaxcnn.check.arrays import axis as axis
from jaxcnn.check.arrays import broadcasts as broadcasts
from jaxcnn.check.arrays import channels as channels
from jaxcnn.check.arrays import concrete_range as concrete_range
from jaxcnn.check.arrays import counting as counting
from jaxcnn.check.arrays import divisor as divisor
from jaxcnn.check.arrays import float_array as float_array
from jaxcnn.check.arrays import float_dtype as float_dtype
from jaxcnn.check.arrays import holds_numbers as holds_numbers
from jaxcnn.check.arrays import integer_array as integer_array
from jaxcnn.check.arrays import key as key
from jaxcnn.check.arrays import labels as labels
from jaxcnn.check.arrays import last_axes as last_axes
from jaxcnn.check.arrays import maps as maps
from jaxcnn.check.arrays import parameter as parameter
from jaxcnn.check.arrays import parse_dtype as parse_dtype
from jaxcnn.check.arrays import rank as rank
from jaxcnn.check.arrays import shape as shape
from jaxcnn.check.settings import axes as axes
from jaxcnn.check.settings import axis_name as axis_name
from jaxcnn.check.settings import boolean as boolean
from jaxcnn.check.settings import choice as choice
from jaxcnn.check.settings import function as function
from jaxcnn.check.settings import functions as functions
from jaxcnn.check.settings import integer as integer
from jaxcnn.check.settings import integers as integers
from jaxcnn.check.settings import is_sequence as is_sequence
from jaxcnn.check.settings import known_sizes as known_sizes
from jaxcnn.check.settings import number as number
from jaxcnn.check.settings import per_axis as per_axis
from jaxcnn.check.settings import positive as positive
from jaxcnn.check.settings import precision as precision
from jaxcnn.check.settings import probability as probability
from jaxcnn.check.settings import rule as rule
from jaxcnn.check.settings import rules as rules
from jaxcnn.check.settings import shown as shown
from jaxcnn.check.settings import sizes as sizes
