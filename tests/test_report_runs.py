"""report.html of runs that are not finished, ended early, or lack something, and what is no run."""

import base64
import re
import shutil
import warnings
from io import BytesIO

import h5py
import numpy as np
import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.data import Dataset
from scratchnet.errors import DataError
from scratchnet.measures.predictions import Predictions
from scratchnet.pages import Results
from scratchnet.pages.first_layer import first_layer, initial_weight
from scratchnet.terminal.invocation import command
from scratchnet.use.predictor import Predictor
from tests.small_runs import make_rows, make_run, make_sides, page_of, without_tags

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("small_model", "plots_once")


@pytest.mark.parametrize("train", ["train_sample", None])
def test_a_sample_of_the_training_images_is_not_called_all_of_them(train, tmp_path):
    def renamed(row):
        return {
            name.replace("train", train or ""): v for name, v in row.items() if train or not name.startswith("train")
        }

    rows = [renamed(row) for row in make_rows(3)]
    about = {"evaluated": {"train_sample": 1234, "test": 10}}
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), rows=rows, about=about)
    text = page_of(run)
    assert ("Of the training images 1,234, drawn at random, were evaluated." in text) == (train is not None)
    assert ("after the last epoch: train (sample) " in text) == (train is not None)
    assert "after the last epoch: train " not in text.replace("train (sample) ", "")
    assert "test 50.0" in text


def test_the_settings_are_words_and_only_those_that_differ(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), learning_rate=0.01)
    text = page_of(run)
    section = text.partition("Settings that differ from the defaults")[2]
    open_part = section.partition("<details>")[0]
    assert "_" not in without_tags(open_part)
    assert [without_tags(row) for row in re.findall('<th scope="row">(.*?)</th>', open_part)] == [
        "image size", "epochs", "learning rate",
    ]  # fmt: skip
    folded = section.partition("<details>")[2]
    assert "<code>batch_<wbr>size</code>" in folded


def test_the_first_layer_shows_what_training_changed(tmp_path):
    """What was added to the weights of the seed; the random start alone is not shown."""
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    with Results.read(run.folder) as results:
        assert "Nothing to see: training moved its weights by 0.0&nbsp;%" in first_layer(results)
        assert "<img" not in first_layer(results)
        start = results.weights["conv1.weight"].copy()
        np.testing.assert_array_equal(start, initial_weight(results, "conv1.weight"))
        noise = np.random.default_rng(1).normal(size=start.shape) * start.std() * 0.3
        results.weights["conv1.weight"] = start + noise
        text = first_layer(results)
        assert "without a pattern" in text
        assert "<img" not in text
        blue = np.zeros_like(start)
        blue[:, :, 2, 7] = 0.1  # one filter learns that blue is a sign
        results.weights["conv1.weight"] = start + blue
        text = first_layer(results)
        pictures_in_it = re.findall('base64,([^"]+)"', text)
        assert len(pictures_in_it) == 3
        change = np.asarray(Image.open(BytesIO(base64.b64decode(pictures_in_it[0]))))
        np.testing.assert_array_equal(change[0, 0], [128, 128, 255, 255])  # the filter that changed most comes first
        results.weights["conv1.weight"] = start[:3]
        assert "cannot be drawn again" in first_layer(results)


def test_without_its_shards_the_page_says_so(tmp_path):
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    whole = page_of(run)
    shutil.rmtree(data)
    text = page_of(run)
    assert "no pictures of cells" in text
    assert "cannot be checked any more" in text
    assert "in training is not known" in text  # where the constant answer comes from
    assert "never seen in training" not in text
    assert 'class="cell"' in whole
    assert 'class="cell"' not in text
    assert "of the sides" not in text
    run.predictions_path.unlink()
    assert "How good it is" not in page_of(run)  # nothing is left to ask the network about


FACTS = {
    "class_counts": {"train": [2, 10], "test": [6, 4]}, "shared_subjects": 3, "subjects_known": True, "sample": True,
    "split": "report", "copies_in_training": 2,
}  # fmt: skip


def test_without_its_shards_the_page_knows_what_the_run_noted(tmp_path):
    data = make_sides(tmp_path / "data")
    shared = make_run(tmp_path / "shared", data, about={"facts": FACTS})
    apart = make_run(tmp_path / "apart", data, about={"facts": FACTS | {"shared_subjects": 0}})
    unknown = make_run(
        tmp_path / "unknown", data, about={"facts": FACTS | {"shared_subjects": None, "subjects_known": False}}
    )
    runs = (shared, apart, unknown)
    for run in runs:
        page_of(run)
    shutil.rmtree(data)
    texts = [page_of(run) for run in runs]
    assert "3 subjects stand on both sides" in texts[0]
    assert "never seen in training" not in texts[0]
    assert "never seen in training" in texts[1]
    assert "The subjects are not known" in texts[2]
    for text in texts:
        assert "2 test images have a copy in training" in text
        assert "demonstration" in text
        assert "cannot be checked any more" not in text
        assert "always &#x27;hem&#x27;" in text  # 10 of the 12 training images, though 4 of the 10 of the test
        assert re.search(">train</th>" + "".join(f"<td[^>]*>{count}</td>" for count in (12, 2, 10)), text)


def test_a_run_that_ended_early_says_so_and_has_a_page_of_its_best_epoch(tmp_path, capsys):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), epochs=9, patience=1, rows=make_rows(3))
    last = page_of(run)
    assert "ended early, after epoch 3 of 9" in last
    assert command("report", run.folder, "--weights", "best") in without_tags(last)
    before = run.predictions_path.read_bytes()
    assert main(["report", str(run.folder), "--weights", "best"]) == 0
    assert "report-best.html" in capsys.readouterr().out
    best = (run.folder / "report-best.html").read_text(encoding="utf-8")
    assert "This page is about epoch 2 of 3, which has the best balanced accuracy, chosen on the test images" in best
    assert "All other figures on this page are of epoch 2." in best
    assert run.predictions_path.read_bytes() == before
    assert not run.report_path.exists()
    dataset = Dataset(tmp_path / "data", "test")
    expected = Predictor.load(run.best_path).predict_proba(dataset.read(np.arange(10)))
    dataset.close()
    with Results.read(run.folder, "best") as results:
        np.testing.assert_allclose(results.predictions.probabilities, expected, atol=1e-6)
        assert not np.allclose(results.predictions.probabilities, Predictions.read(run.predictions_path).probabilities)


def test_the_best_epoch_needs_its_weights_and_images(tmp_path, capsys):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data")
    assert main(["report", str(run.folder), "--weights", "best"]) == 2
    run.best_path.unlink()
    assert main(["report", str(run.folder), "--weights", "best"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "need the test images" in lines[0]
    assert "has no best.h5" in lines[1]


@pytest.mark.parametrize(
    ("schedule", "change", "repeats"),
    [
        ("cosine", None, True),
        ("cosine", {"epochs": [2, 3]}, False),
        ("constant", {"epochs": [2, 3]}, True),
        ("constant", {"patience": [0, 2]}, False),
        ("constant", {"keep_every": [0, 2]}, True),
    ],
)
def test_what_repeats_to_the_bit(schedule, change, repeats, tmp_path):
    about = {"history": [{"at_epoch": 2} | change]} if change else {}
    text = page_of(make_run(tmp_path / "run", make_sides(tmp_path / "data"), schedule=schedule, about=about))
    assert ("to the bit" in text) == repeats
    assert ("need not give the same weights" in text) != repeats
    assert ("ith these versions on such a processor" in text) == repeats
    assert ("after epoch 2: " in text) == (change is not None)


def test_what_was_added_offline_is_said_in_words(tmp_path):
    none = {name: {"images": 6, "left out": 0, "added": 0} for name in ("all", "hem")}
    text = page_of(make_run(tmp_path / "one", make_sides(tmp_path / "plain", added=none)))
    assert "{" not in text.partition("</style>")[2]
    assert "added offline" not in text
    some = none | {"hem": {"images": 6, "left out": 1, "added": 4}}
    text = page_of(make_run(tmp_path / "two", make_sides(tmp_path / "more", added=some)))
    assert "hem: 6 images − 1 left out + 4 added" in text
    assert "{" not in text.partition("</style>")[2]


def test_nothing_stays_open(tmp_path):
    """Also the validation side, which the network of an experiment would bring along."""
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with Results.read(run.folder) as results:
            assert results.predictions is not None
        assert open_files(tmp_path / "data") == []


def open_files(folder):
    """The shards that h5py has open."""
    names = [h5py.h5f.get_name(one).decode() for one in h5py.h5f.get_obj_ids(types=h5py.h5f.OBJ_FILE)]
    return [name for name in names if name.startswith(str(folder))]


def test_other_shards_in_its_place_are_not_taken_for_its_own(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data", dataset_id="id-2"))
    assert "prepared anew since the run" in page_of(run)
    assert not run.predictions_path.exists()


def test_a_run_that_is_not_finished(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), finished=False)
    text = page_of(run)
    assert "The run is not finished" in text
    assert "How good it is" not in text
    assert "What training changed in the first layer" in text


def test_a_finished_run_that_goes_on_is_not_finished(tmp_path):
    """weights.h5 is of epoch 3, the checkpoint and the metrics of epoch 4."""
    data = make_sides(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    later = make_run(tmp_path / "later", data, epochs=4, finished=False)
    shutil.copytree(later.checkpoints_folder, run.checkpoints_folder, dirs_exist_ok=True)
    assert "not finished" not in page_of(run)
    shutil.copy(later.folder / "metrics.csv", run.folder / "metrics.csv")
    assert "not finished" in page_of(run)


def test_cautions(tmp_path):
    shared = make_run(tmp_path / "one", make_sides(tmp_path / "shared", shared=True, copies=7))
    text = page_of(shared)
    assert "5 subjects stand on both sides" in text
    assert "7 test images have a copy in training" in text
    unknown = make_run(tmp_path / "two", make_sides(tmp_path / "unknown", known=False))
    text = page_of(unknown)
    assert "subjects are not known" in text
    assert "never seen in training" not in text
    constant = Predictions.read(unknown.predictions_path)
    constant.probabilities[:] = [0.9, 0.1]
    constant.write(unknown.predictions_path)
    assert "the same answer to every image" in page_of(unknown)


def test_without_a_mistake(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    page_of(run)
    right = Predictions.read(run.predictions_path)
    right.probabilities[:] = np.eye(2)[right.labels] * 0.8 + 0.1
    right.write(run.predictions_path)
    text = page_of(run)
    assert "every test image was recognised" in text
    assert "rule of three" in text


def test_one_epoch(tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"), epochs=1)
    assert "1 epoch ·" in page_of(run)


@pytest.mark.parametrize("content", ["epoch,test_loss\n1,x\n", "a,b\n1,2\n", "epoch,test_loss\n1,2,3\n"])
def test_a_damaged_table_is_named(content, tmp_path):
    run = make_run(tmp_path / "run", make_sides(tmp_path / "data"))
    (run.folder / "metrics.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics\.csv"):
        Results.read(run.folder)


def test_what_is_no_run_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert main(["report", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "is not a run" in lines[1]
