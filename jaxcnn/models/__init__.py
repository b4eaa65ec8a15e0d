"""Networks from the literature, one file each."""

from jaxcnn.models.alexnet import alexnet as alexnet
from jaxcnn.models.alexnet import small_alexnet as small_alexnet
from jaxcnn.models.fast_mnist import fast_mnist as fast_mnist
from jaxcnn.models.lenet import lenet5 as lenet5
from jaxcnn.models.mobilenet import mobilenet as mobilenet
from jaxcnn.models.resnet import resnet as resnet
from jaxcnn.models.vgg import vgg6 as vgg6
