"""Networks from the literature, one file each."""

from jaxcnn.models.accurate_mnist import accurate_mnist as accurate_mnist
from jaxcnn.models.airbench import airbench94 as airbench94
from jaxcnn.models.airbench import airbench96 as airbench96
from jaxcnn.models.alexnet import alexnet as alexnet
from jaxcnn.models.alexnet import alexnet_2014 as alexnet_2014
from jaxcnn.models.alexnet import small_alexnet as small_alexnet
from jaxcnn.models.densenet import densenet as densenet
from jaxcnn.models.densenet import densenet_imagenet as densenet_imagenet
from jaxcnn.models.fast_mnist import fast_mnist as fast_mnist
from jaxcnn.models.lectures import conv_dense as conv_dense
from jaxcnn.models.lectures import conv_pool_dense as conv_pool_dense
from jaxcnn.models.lectures import gormley_cnn as gormley_cnn
from jaxcnn.models.lectures import logistic_regression as logistic_regression
from jaxcnn.models.lectures import mlp as mlp
from jaxcnn.models.lectures import ray_cnn as ray_cnn
from jaxcnn.models.lenet import lenet5 as lenet5
from jaxcnn.models.mobilenet import mobilenet as mobilenet
from jaxcnn.models.mobilenet_v2 import mobilenet_v2 as mobilenet_v2
from jaxcnn.models.resnet import resnet as resnet
from jaxcnn.models.resnet_imagenet import resnet_imagenet as resnet_imagenet
from jaxcnn.models.vgg import vgg as vgg
from jaxcnn.models.vgg import vgg6 as vgg6
