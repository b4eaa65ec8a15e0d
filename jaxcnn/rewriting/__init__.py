"""Any JAX function with our rules inside, whatever library it is written with."""

from jaxcnn.rewriting.transformation import with_rules as with_rules
