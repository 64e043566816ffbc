"""The families of checkpoints that can be converted: one file each."""

from keras_resnets.weights.families.akamaster import AKAMASTER
from keras_resnets.weights.families.hugging_face import HUGGING_FACE
from keras_resnets.weights.families.keras_applications import KERAS_APPLICATIONS
from keras_resnets.weights.families.torchvision import TORCHVISION

FAMILIES = (TORCHVISION, HUGGING_FACE, AKAMASTER, KERAS_APPLICATIONS)
