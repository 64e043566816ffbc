"""`python -m training` with three blocks in ResNet-20, and if asked with logical CPU devices.

A process of its own, for both must be settled before TensorFlow starts.
"""

import dataclasses
import os
import sys
import time

from training.__main__ import import_tensorflow, main


def use_small_resnet20():
    """Lets this process build ResNet-20 with three blocks instead of nine."""
    from keras_resnets.architecture.spec import VARIANTS

    VARIANTS["resnet20"] = dataclasses.replace(VARIANTS["resnet20"], repeats=(1, 1, 1))


def rest_after_saves(seconds):
    """Leaves whoever watches the checkpoints the time to stop or kill the run there."""
    from training.run.sitting import Sitting

    save = Sitting.save

    def save_and_rest(self):
        save(self)
        time.sleep(seconds)

    Sitting.save = save_and_rest


if __name__ == "__main__":
    import_tensorflow()
    import tensorflow as tf

    use_small_resnet20()
    if os.environ.get("LOGICAL_CPUS"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["LOGICAL_CPUS"])
        tf.config.set_logical_device_configuration(cpu, logical)
    if os.environ.get("SECONDS_AFTER_SAVES"):
        rest_after_saves(float(os.environ["SECONDS_AFTER_SAVES"]))
    sys.exit(main(sys.argv[1:]))
