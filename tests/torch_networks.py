"""Networks as torchvision 0.29 and timm 1.0 build them, with their names, as narrow as wanted."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, relu, relu6


def conv(c, d, window, stride=1, groups=1):
    return nn.Conv2d(c, d, window, stride, window // 2, groups=groups, bias=False)


def average(x):
    return adaptive_avg_pool2d(x, 1).flatten(1)


class Block(nn.Module):
    def __init__(self, c, features, stride, bottleneck):
        super().__init__()
        out = features * (4 if bottleneck else 1)
        shapes = [(c, features, 3), (features, features, 3)]
        if bottleneck:
            shapes = [(c, features, 1), (features, features, 3), (features, out, 1)]
        self.count = len(shapes)
        for n, (a, b, window) in enumerate(shapes, 1):
            strided = n == (2 if bottleneck else 1)
            self.add_module(f"conv{n}", conv(a, b, window, stride if strided else 1))
            self.add_module(f"bn{n}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(conv(c, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for n in range(1, self.count + 1):
            y = self.get_submodule(f"bn{n}")(self.get_submodule(f"conv{n}")(y))
            y = relu(y) if n < self.count else y
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, stages, width, classes, *, bottleneck):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        c, self.count = width, len(stages)
        for n, count in enumerate(stages):
            blocks = []
            for block in range(count):
                blocks.append(Block(c, width << n, 2 if n and not block else 1, bottleneck))
                c = (width << n) * (4 if bottleneck else 1)
            self.add_module(f"layer{n + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for n in range(self.count):
            x = self.get_submodule(f"layer{n + 1}")(x)
        return self.fc(average(x))


class Vgg(nn.Module):
    """For maps of 32·side; `timm`: its dense layers are convolutions."""

    def __init__(self, blocks, width, hidden, classes, *, norm, timm=False, side=1):
        super().__init__()
        c, parts = 3, []
        for n, count in enumerate(blocks):
            for _ in range(count):
                d = width << min(n, 3)
                parts += [nn.Conv2d(c, d, 3, padding=1), *[nn.BatchNorm2d(d)] * norm, nn.ReLU()]
                c = d
            parts.append(nn.MaxPool2d(2))
        self.features, self.timm = nn.Sequential(*parts), timm
        if timm:
            convs = nn.Conv2d(c, hidden, side), nn.Conv2d(hidden, hidden, 1)
            self.pre_logits = nn.ModuleDict(dict(zip(("fc1", "fc2"), convs, strict=True)))
            self.head = nn.ModuleDict({"fc": nn.Linear(hidden, classes)})
        else:
            self.classifier = nn.Sequential(
                nn.Linear(c * side**2, hidden), nn.ReLU(), nn.Dropout(),
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes),
            )  # fmt: skip

    def forward(self, x):
        x = self.features(x)
        if not self.timm:
            return self.classifier(x.flatten(1))
        x = relu(self.pre_logits["fc2"](relu(self.pre_logits["fc1"](x))))
        return self.head["fc"](average(x))


class AlexNet(nn.Module):
    """For maps whose last pooling leaves side × side."""

    def __init__(self, widths, hidden, classes, side=6):
        super().__init__()
        a, b, c, d, e = widths
        self.features = nn.Sequential(
            nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(b, c, 3, 1, 1), nn.ReLU(), nn.Conv2d(c, d, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(d, e, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(e * side**2, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class DenseLayer(nn.Module):
    def __init__(self, c, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(c), conv(c, 4 * growth, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3)

    def forward(self, x):
        y = self.conv1(relu(self.norm1(x)))
        return torch.cat([x, self.conv2(relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    def __init__(self, stages, growth, classes):
        super().__init__()
        c, parts = 2 * growth, OrderedDict()
        parts |= {"conv0": conv(3, c, 7, 2), "norm0": nn.BatchNorm2d(c), "relu0": nn.ReLU()}
        parts["pool0"] = nn.MaxPool2d(3, 2, 1)
        for n, count in enumerate(stages, 1):
            inside = OrderedDict()
            for layer in range(1, count + 1):
                inside[f"denselayer{layer}"] = DenseLayer(c, growth)
                c += growth
            parts[f"denseblock{n}"] = nn.Sequential(inside)
            if n < len(stages):
                shrink = {"norm": nn.BatchNorm2d(c), "relu": nn.ReLU(), "conv": conv(c, c // 2, 1)}
                shrink["pool"] = nn.AvgPool2d(2)
                parts[f"transition{n}"] = nn.Sequential(OrderedDict(shrink))
                c //= 2
        parts["norm5"] = nn.BatchNorm2d(c)
        self.features, self.classifier = nn.Sequential(parts), nn.Linear(c, classes)

    def forward(self, x):
        return self.classifier(average(relu(self.features(x))))


class Separable(nn.Module):
    """A block of timm: a depthwise convolution and one 1×1, or an inverted residual."""

    def __init__(self, c, d, stride, factor=0):
        super().__init__()
        wide, parts = c * (factor or 1), {}
        if factor:
            parts["conv_pw"] = conv(c, wide, 1)
        parts["conv_dw"] = conv(wide, wide, 3, stride, groups=wide)
        parts["conv_pwl" if factor else "conv_pw"] = conv(wide, d, 1)
        self.steps = []
        for n, (name, part) in enumerate(parts.items(), 1):
            self.add_module(name, part)
            self.add_module(f"bn{n}", nn.BatchNorm2d(part.out_channels))
            self.steps.append((name, f"bn{n}"))

    def forward(self, x):
        for name, norm in self.steps:
            x = relu6(self.get_submodule(norm)(self.get_submodule(name)(x)))
        return x


class MobileNet(nn.Module):
    """The first one, as timm has it."""

    def __init__(self, stem, stages, classes):
        super().__init__()
        self.conv_stem, self.bn1 = conv(3, stem, 3, 2), nn.BatchNorm2d(stem)
        c, parts = stem, []
        for stage in stages:
            blocks = []
            for d, stride in stage:
                blocks.append(Separable(c, d, stride))
                c = d
            parts.append(nn.Sequential(*blocks))
        self.blocks, self.classifier = nn.Sequential(*parts), nn.Linear(c, classes)

    def forward(self, x):
        return self.classifier(average(self.blocks(relu6(self.bn1(self.conv_stem(x))))))


def conv_norm_relu(c, d, window, stride=1, groups=1):
    return nn.Sequential(conv(c, d, window, stride, groups), nn.BatchNorm2d(d), nn.ReLU6())


class Inverted(nn.Module):
    def __init__(self, c, d, stride, factor):
        super().__init__()
        wide = c * factor
        widen = [conv_norm_relu(c, wide, 1)] if factor > 1 else []
        depthwise = conv_norm_relu(wide, wide, 3, stride, wide)
        self.conv = nn.Sequential(*widen, depthwise, conv(wide, d, 1), nn.BatchNorm2d(d))
        self.added = stride == 1 and c == d

    def forward(self, x):
        return x + self.conv(x) if self.added else self.conv(x)


class MobileNetV2(nn.Module):
    """As torchvision has it; stages of factor, maps, blocks, stride."""

    def __init__(self, stem, stages, last, classes):
        super().__init__()
        c, parts = stem, nn.Sequential(conv_norm_relu(3, stem, 3, 2))
        for factor, d, count, stride in stages:
            for block in range(count):
                parts.append(Inverted(c, d, 1 if block else stride, factor))
                c = d
        self.features = parts.append(conv_norm_relu(c, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(average(self.features(x)))


class LeNet(nn.Module):
    """As PyTorch's tutorials have it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        for each in (self.conv1, self.conv2):
            x = nn.functional.max_pool2d(relu(each(x)), 2)
        x = relu(self.fc2(relu(self.fc1(x.flatten(1)))))
        return self.fc3(x)
