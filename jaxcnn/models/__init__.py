"""Networks from the literature, one file each."""

from jaxcnn.models.lenet import lenet5 as lenet5
