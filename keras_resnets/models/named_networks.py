"""The named networks: a stub for each row of the table of variants, by family.

Accuracies are on ImageNet's validation images: for torchvision's weights as their metadata state,
at 224×224, and for timm's as its table `results-imagenet.csv`, at the size beside them.
"""

from typing import TYPE_CHECKING

from keras_resnets.architecture.spec import VARIANTS
from keras_resnets.models.factories import plainnet, resnet


@resnet
def ResNet18():
    """ResNet-18 (table 1): 11,689,512 parameters and 1.8141·10⁹ multiply-adds.

    Top-1 accuracy: 69.758 % (torchvision's V1).
    """


@resnet
def ResNet26():
    """ResNet-26: 15,995,176 parameters and 2.3423·10⁹ multiply-adds.

    The paper does not have this network, of 2, 2, 2, 2 bottlenecks.
    Top-1 accuracy: 76.366 % (timm's `bt_in1k`, 288×288).
    """


@resnet
def ResNet34():
    """ResNet-34 (table 1): 21,797,672 parameters and 3.6638·10⁹ multiply-adds.

    Top-1 accuracy: 73.314 % (torchvision's V1).

    Example:

    >>> model = keras_resnets.ResNet34(shortcut="A", classes=10)
    >>> model.output_shape
    (None, 10)
    """


@resnet
def ResNet50():
    """ResNet-50 (table 1): 25,557,032 parameters and 4.0892·10⁹ multiply-adds.

    The stride is on the 3×3 convolution ("v1.5"); the paper's network, `stride_on="1x1"`, has
    3.8580·10⁹ multiply-adds.
    Top-1 accuracy: 76.130 % (torchvision's V1), 80.858 % (V2).
    """


@resnet
def ResNet101():
    """ResNet-101 (table 1): 44,549,160 parameters and 7.8014·10⁹ multiply-adds.

    Top-1 accuracy: 77.374 % (torchvision's V1), 81.886 % (V2).
    """


@resnet
def ResNet152():
    """ResNet-152 (table 1): 60,192,808 parameters and 11.5136·10⁹ multiply-adds.

    Top-1 accuracy: 78.312 % (torchvision's V1), 82.284 % (V2).
    """


@resnet
def ResNet200():
    """ResNet-200: 64,673,832 parameters and 15.0075·10⁹ multiply-adds.

    The paper does not have this network, of 3, 24, 36, 3 bottlenecks.
    """


@resnet
def ResNet20():
    """ResNet-20 for CIFAR-10 (section 4.2): 269,722 parameters and 40.55·10⁶ multiply-adds.

    The paper's test error is 8.75 %.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    269722
    """


@resnet
def ResNet32():
    """ResNet-32 for CIFAR-10 (section 4.2): 464,154 parameters and 68.86·10⁶ multiply-adds.

    The paper's test error is 7.51 %.
    """


@resnet
def ResNet44():
    """ResNet-44 for CIFAR-10 (section 4.2): 658,586 parameters and 97.17·10⁶ multiply-adds.

    The paper's test error is 7.17 %.
    """


@resnet
def ResNet56():
    """ResNet-56 for CIFAR-10 (section 4.2): 853,018 parameters and 125.49·10⁶ multiply-adds.

    The paper's test error is 6.97 %.
    """


@resnet
def ResNet110():
    """ResNet-110 for CIFAR-10 (section 4.2): 1,727,962 parameters and 252.89·10⁶ multiply-adds.

    The paper's test error is 6.43 %.
    """


@resnet
def ResNet1202():
    """ResNet-1202 for CIFAR-10 (section 4.2): 19,421,274 parameters and 2829.24·10⁶ multiply-adds.

    The paper's test error is 7.93 %.
    """


@resnet
def ResNet18D():
    """ResNet-18-D: 11,708,744 parameters and 2.0537·10⁹ multiply-adds.

    Top-1 accuracy: 73.794 % (timm's `ra2_in1k`, 288×288).
    """


@resnet
def ResNet26D():
    """ResNet-26-D: 16,014,408 parameters and 2.5819·10⁹ multiply-adds.

    Top-1 accuracy: 77.408 % (timm's `bt_in1k`, 288×288).
    """


@resnet
def ResNet34D():
    """ResNet-34-D: 21,816,904 parameters and 3.9034·10⁹ multiply-adds.

    Top-1 accuracy: 78.436 % (timm's `ra2_in1k`, 288×288).
    """


@resnet
def ResNet50D():
    """ResNet-50-D: 25,576,264 parameters and 4.3288·10⁹ multiply-adds.

    Top-1 accuracy: 81.356 % (timm's `ra2_in1k`, 288×288).
    """


@resnet
def ResNet101D():
    """ResNet-101-D: 44,568,392 parameters and 8.0410·10⁹ multiply-adds.

    Top-1 accuracy: 83.016 % (timm's `ra2_in1k`, 320×320).
    """


@resnet
def ResNet152D():
    """ResNet-152-D: 60,212,040 parameters and 11.7533·10⁹ multiply-adds.

    Top-1 accuracy: 83.684 % (timm's `ra2_in1k`, 320×320).
    """


@resnet
def ResNet200D():
    """ResNet-200-D: 64,693,064 parameters and 15.2471·10⁹ multiply-adds.

    Top-1 accuracy: 83.964 % (timm's `ra2_in1k`, 320×320).
    """


@resnet
def ResNet18V2():
    """ResNet-18 V2: 11,687,720 parameters and 1.8141·10⁹ multiply-adds."""


@resnet
def ResNet34V2():
    """ResNet-34 V2: 21,795,880 parameters and 3.6638·10⁹ multiply-adds."""


@resnet
def ResNet50V2():
    """ResNet-50 V2: 25,549,352 parameters and 4.0892·10⁹ multiply-adds.

    The network of `keras.applications` differs: biases, and strides in the last block of a stage.
    Top-1 accuracy: 81.398 % (timm's `a1h_in1k`, 288×288).
    """


@resnet
def ResNet101V2():
    """ResNet-101 V2: 44,541,480 parameters and 7.8014·10⁹ multiply-adds.

    The network of `keras.applications` differs: biases, and strides in the last block of a stage.
    Top-1 accuracy: 83.002 % (timm's `a1h_in1k`, 288×288).
    """


@resnet
def ResNet152V2():
    """ResNet-152 V2: 60,185,128 parameters and 11.5136·10⁹ multiply-adds.

    The network of `keras.applications` differs: biases, and strides in the last block of a stage.
    """


@resnet
def ResNet50DV2():
    """ResNet-50-D V2: 25,568,584 parameters and 4.3288·10⁹ multiply-adds."""


@resnet
def ResNet110V2():
    """ResNet-110 V2 for CIFAR-10: 1,730,522 parameters and 253.15·10⁶ multiply-adds.

    Shortcuts project where the shapes differ, as in the authors' code.
    The paper's test error is 6.37 %.
    """


@resnet
def ResNet164V2():
    """ResNet-164 V2 for CIFAR-10: 1,703,258 parameters and 244.50·10⁶ multiply-adds.

    The stride is on the first convolution of a block, as in the authors' code.
    The paper's test error is 5.46 %.
    """


@resnet
def ResNet1001V2():
    """ResNet-1001 V2 for CIFAR-10: 10,327,706 parameters and 1487.85·10⁶ multiply-adds.

    The stride is on the first convolution of a block, as in the authors' code.
    The paper's test error is 4.92 %.
    """


@resnet
def ResNeXt50_32x4d():
    """ResNeXt-50 32×4d: 25,028,904 parameters and 4.2305·10⁹ multiply-adds.

    Top-1 accuracy: 77.618 % (torchvision's V1), 81.198 % (V2).
    """


@resnet
def ResNeXt50D_32x4d():
    """ResNeXt-50-D 32×4d: 25,048,136 parameters and 4.4701·10⁹ multiply-adds.

    Top-1 accuracy: 80.664 % (timm's `bt_in1k`, 288×288).
    """


@resnet
def ResNeXt101_32x4d():
    """ResNeXt-101 32×4d: 44,177,704 parameters and 7.9700·10⁹ multiply-adds.

    Top-1 accuracy: 80.340 % (timm's `gluon_in1k`, 224×224).
    """


@resnet
def ResNeXt101_32x8d():
    """ResNeXt-101 32×8d: 88,791,336 parameters and 16.4140·10⁹ multiply-adds.

    Top-1 accuracy: 79.312 % (torchvision's V1), 82.834 % (V2).
    """


@resnet
def ResNeXt101_64x4d():
    """ResNeXt-101 64×4d: 83,455,272 parameters and 15.4603·10⁹ multiply-adds.

    Top-1 accuracy: 83.246 % (torchvision's V1).
    """


@resnet
def WideResNet50_2():
    """Wide ResNet-50-2: 68,883,240 parameters and 11.3980·10⁹ multiply-adds.

    Top-1 accuracy: 78.468 % (torchvision's V1), 81.602 % (V2).
    """


@resnet
def WideResNet101_2():
    """Wide ResNet-101-2: 126,886,696 parameters and 22.7531·10⁹ multiply-adds.

    Top-1 accuracy: 78.848 % (torchvision's V1), 82.510 % (V2).
    """


@resnet
def WRN16_8():
    """WRN-16-8 for CIFAR-10: 10,961,370 parameters and 1548.15·10⁶ multiply-adds.

    The paper's test error is 4.27 %.
    """


@resnet
def WRN28_10():
    """WRN-28-10 for CIFAR-10: 36,479,194 parameters and 5243.33·10⁶ multiply-adds.

    The paper's test error is 4.00 %.
    """


@resnet
def WRN40_4():
    """WRN-40-4 for CIFAR-10: 8,949,210 parameters and 1298.58·10⁶ multiply-adds.

    The paper's test error is 4.53 %.
    """


@resnet
def SEResNet18():
    """SE-ResNet-18: 11,779,624 parameters and 1.8142·10⁹ multiply-adds."""


@resnet
def SEResNet34():
    """SE-ResNet-34: 21,960,416 parameters and 3.6639·10⁹ multiply-adds."""


@resnet
def SEResNet50():
    """SE-ResNet-50: 28,088,024 parameters and 4.0917·10⁹ multiply-adds.

    Top-1 accuracy: 81.284 % (timm's `ra2_in1k`, 288×288).
    """


@resnet
def SEResNet101():
    """SE-ResNet-101: 49,326,872 parameters and 7.8061·10⁹ multiply-adds."""


@resnet
def SEResNet152():
    """SE-ResNet-152: 66,821,848 parameters and 11.5202·10⁹ multiply-adds."""


@resnet
def SEResNeXt50_32x4d():
    """SE-ResNeXt-50 32×4d: 27,559,896 parameters and 4.2330·10⁹ multiply-adds.

    Top-1 accuracy: 82.196 % (timm's `racm_in1k`, 288×288).
    """


@resnet
def SEResNeXt101_32x4d():
    """SE-ResNeXt-101 32×4d: 48,955,416 parameters and 7.9747·10⁹ multiply-adds.

    Top-1 accuracy: 80.892 % (timm's `gluon_in1k`, 224×224).
    """


@resnet
def ResNetRS50():
    """ResNet-RS-50: 35,691,912 parameters and 4.4545·10⁹ multiply-adds.

    Top-1 accuracy: 79.896 % (timm's `tf_in1k`, 224×224).
    """


@resnet
def ResNetRS101():
    """ResNet-RS-101: 63,618,696 parameters and 8.1756·10⁹ multiply-adds.

    Top-1 accuracy: 82.284 % (timm's `tf_in1k`, 288×288).
    """


@resnet
def ResNetRS152():
    """ResNet-RS-152: 86,621,576 parameters and 11.8952·10⁹ multiply-adds.

    Top-1 accuracy: 83.702 % (timm's `tf_in1k`, 320×320).
    """


@resnet
def ResNetRS200():
    """ResNet-RS-200: 93,209,992 parameters and 15.3911·10⁹ multiply-adds.

    Top-1 accuracy: 84.444 % (timm's `tf_in1k`, 320×320).
    """


@resnet
def ResNetBlur50():
    """ResNet-50 with blurs: 25,557,032 parameters and 5.1296·10⁹ multiply-adds.

    Top-1 accuracy: 80.234 % (timm's `bt_in1k`, 288×288).
    """


@plainnet
def PlainNet18():
    """Plain-18 (section 3.3): 11,515,688 parameters and 1.7948·10⁹ multiply-adds.

    `ResNet18` without its shortcuts, with exactly the cost of `ResNet18(shortcut="A")`.
    """


@plainnet
def PlainNet34():
    """Plain-34 (section 3.3): 21,623,848 parameters and 3.6445·10⁹ multiply-adds.

    `ResNet34` without its shortcuts, with exactly the cost of `ResNet34(shortcut="A")`.

    Example:

    >>> twin = keras_resnets.PlainNet34()
    >>> keras_resnets.model_spec(twin).shortcut is None
    True
    """


@plainnet
def PlainNet50():
    """Plain-50: 22,780,456 parameters and 3.7295·10⁹ multiply-adds.

    `ResNet50` without its shortcuts, which the paper does not have.
    """


@plainnet
def PlainNet20():
    """Plain-20 for CIFAR-10 (section 4.2): 269,722 parameters and 40.55·10⁶ multiply-adds."""


@plainnet
def PlainNet32():
    """Plain-32 for CIFAR-10 (section 4.2): 464,154 parameters and 68.86·10⁶ multiply-adds."""


@plainnet
def PlainNet44():
    """Plain-44 for CIFAR-10 (section 4.2): 658,586 parameters and 97.17·10⁶ multiply-adds."""


@plainnet
def PlainNet56():
    """Plain-56 for CIFAR-10 (section 4.2): 853,018 parameters and 125.49·10⁶ multiply-adds."""


@plainnet
def PlainNet110():
    """Plain-110 for CIFAR-10 (section 4.2): 1,727,962 parameters and 252.89·10⁶ multiply-adds."""


if not TYPE_CHECKING:  # type checkers take what stands above, but cannot make lists
    __all__ = [name for name in dir() if name.lower() in VARIANTS]
