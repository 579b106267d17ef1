"""How much the training side reveals about the test side."""

from collections.abc import Sequence

from scratchnet.prepare.augment import Item


def leak(train: Sequence[Item], test: Sequence[Item]) -> dict[str, int]:
    """Counts the test images whose subject is also in training, and those whose own picture is.

    The picture: the same pixels, or a turned or mirrored copy, whether made while preparing or from a file of its
    own. A test on people whom the network has never seen has 0 of both.
    """
    subjects = {item.subject for item in train}
    cells = {item.image.picture.cell for item in train}
    return {
        "test_images_of_training_subjects": sum(item.subject in subjects for item in test),
        "test_images_with_a_copy_in_training": sum(item.image.picture.cell in cells for item in test),
    }
