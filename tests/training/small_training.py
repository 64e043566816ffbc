"""`python -m training` with a tiny network, and if asked with logical CPU devices.

A process of its own, for both must be settled before TensorFlow starts.
"""

import os
import sys
import time

from tests.training.tiny_network import use_tiny_network
from training.__main__ import main
from training.process import import_tensorflow


def rest_after_saves(seconds):
    """Leaves whoever watches the checkpoints the time to stop or kill the run there."""
    from training.run.session import Session

    save = Session.save

    def save_and_rest(self):
        save(self)
        time.sleep(seconds)

    Session.save = save_and_rest


if __name__ == "__main__":
    import_tensorflow()
    import tensorflow as tf

    use_tiny_network()
    if os.environ.get("LOGICAL_CPUS"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["LOGICAL_CPUS"])
        tf.config.set_logical_device_configuration(cpu, logical)
    if os.environ.get("SECONDS_AFTER_SAVES"):
        rest_after_saves(float(os.environ["SECONDS_AFTER_SAVES"]))
    sys.exit(main(sys.argv[1:]))
