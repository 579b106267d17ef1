"""Dropout: its mean, its gradient, and to whom a mask belongs."""

import math

import numpy as np
import pytest
from small_layers import IMAGE, built

from scratchnet import Dropout
from scratchnet.errors import ShapeError


def test_dropout_keeps_the_mean():
    layer = built(Dropout(0.3), (500, 200))
    y = layer.forward(np.ones((2, 500, 200)), training=True)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert y.mean() == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / y.size))  # four standard errors


def test_dropout_is_the_identity_at_inference(rng):
    x = rng.normal(size=(2, *IMAGE))
    np.testing.assert_array_equal(built(Dropout(0.9), IMAGE).forward(x), x)


def test_dropout_of_rate_zero_changes_nothing(rng):
    layer, x = built(Dropout(0), IMAGE), rng.normal(size=(2, *IMAGE))
    np.testing.assert_array_equal(layer.forward(x, training=True), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_dropout_gradient_goes_where_the_numbers_went(rng):
    layer = built(Dropout(0.5), IMAGE)
    y = layer.forward(np.ones((2, *IMAGE)), training=True)
    dy = rng.normal(size=y.shape)
    np.testing.assert_array_equal(layer.backward(dy), dy * y)


def mask(layer, epoch, images):
    layer.seed_batch(epoch, images)
    return layer.forward(np.ones((len(images), *layer.input_shape)), training=True)


def test_a_mask_belongs_to_its_image_however_the_batch_is_cut():
    layer = built(Dropout(0.5, seed=3), (50,))
    whole = mask(layer, 7, [4, 9, 2, 5])
    np.testing.assert_array_equal(np.concatenate([mask(layer, 7, [4]), mask(layer, 7, [9, 2, 5])]), whole)
    np.testing.assert_array_equal(mask(layer, 7, [5, 2, 9, 4]), whole[::-1])


def test_masks_differ_by_seed_layer_epoch_and_image():
    def masks(name, seed, epoch):
        return mask(built(Dropout(0.5, seed=seed, name=name), (50,)), epoch, [0, 1])

    drawn = np.concatenate(
        [masks("dropout1", 0, 0), masks("dropout2", 0, 0), masks("dropout1", 1, 0), masks("dropout1", 0, 1)]
    )
    assert len(np.unique(drawn, axis=0)) == 8


def test_without_numbers_each_forward_draws_new_masks():
    layer, x = built(Dropout(0.5), (50,)), np.ones((2, 50))
    drawn = np.concatenate([layer.forward(x, training=True), layer.forward(x, training=True)])
    assert len(np.unique(drawn, axis=0)) == 4


def test_dropout_wants_a_number_for_each_image():
    layer = built(Dropout(0.5, name="this"), (4,))
    layer.seed_batch(0, [1, 2, 3])
    with pytest.raises(ShapeError, match=r"Dropout 'this': seed_batch named 3 images, the batch holds 2"):
        layer.forward(np.ones((2, 4)), training=True)
