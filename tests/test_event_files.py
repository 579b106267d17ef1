"""TensorBoard: what was written is read back by readers that are not ours, also after a kill and a resume, and in a browser."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
import urllib.request
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import Dataset
from scratchnet.errors import MissingExtraError
from scratchnet.measures.predictions import Predictions
from scratchnet.training import Display, Experiment, Progress, Run, fit
from scratchnet.training.config import Config
from scratchnet.training.event_files import EventFiles
from tests.small_data import make_dataset
from tests.small_runs import make_sides

pytest.importorskip("tensorboard")
pytest.importorskip("matplotlib")

pytestmark = pytest.mark.usefixtures("small_model")


def row(epoch, train_loss=0.5):
    return {
        "epoch": epoch, "learning_rate": 0.001, "train_loss": train_loss, "train_accuracy": 0.8, "validation_loss": 0.55,
        "test_loss": 0.6, "test_accuracy": 0.7, "test_balanced_accuracy": 0.65,
    }  # fmt: skip


def predictions(count=12):
    chances = np.random.default_rng(0).dirichlet([1, 1], count)
    paths = tuple(f"a/{k}.png" for k in range(count))
    return Predictions(("all", "$hem_"), paths, None, np.arange(count) % 2, chances)


def read(folder):
    """TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    return reader


def scalars(folder, tag):
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def test_everything_reads_back(tmp_path):
    make_dataset(tmp_path / "data")
    with Dataset(tmp_path / "data", "train") as dataset, EventFiles(tmp_path / "events") as events:
        for epoch in (1, 2):
            events.epoch(
                row(epoch, 1 / epoch),
                images_per_second=100.5,
                norms={"conv1.weight": (2.0, 0.25)},
                predictions=predictions(),
                dataset=dataset,
            )
    train, test = tmp_path / "events" / "train", tmp_path / "events" / "test"
    assert scalars(train, "loss") == [(1, 1.0), (2, 0.5)]
    assert scalars(train, "images_per_second") == [(1, 100.5), (2, 100.5)]
    assert scalars(train, "weight_norm/conv1.weight")[0] == (1, 2.0)
    assert scalars(train, "gradient_norm/conv1.weight")[0] == (1, 0.25)
    assert scalars(train, "learning_rate")[0] == (1, pytest.approx(0.001))
    assert scalars(tmp_path / "events" / "validation", "loss")[0] == (1, pytest.approx(0.55))
    assert scalars(test, "accuracy") == [(1, pytest.approx(0.7)), (2, pytest.approx(0.7))]
    assert set(read(test).Tags()["scalars"]) == {"loss", "accuracy", "balanced_accuracy"}
    assert set(read(test).Tags()["images"]) == {"confusion_matrix", "mistakes"}
    for tag in ("confusion_matrix", "mistakes"):
        drawn = read(test).Images(tag)
        assert [event.step for event in drawn] == [1, 2]
        picture = Image.open(BytesIO(drawn[0].encoded_image_string))
        assert (picture.width, picture.height) == (drawn[0].width, drawn[0].height)


def test_a_sample_of_the_training_images_has_curves_of_its_own(tmp_path):
    with EventFiles(tmp_path) as events:
        events.epoch({"epoch": 1, "learning_rate": 0.5, "train_sample_loss": 0.25, "test_loss": 0.75})
    assert scalars(tmp_path / "train_sample", "loss") == [(1, 0.25)]
    assert set(read(tmp_path / "train").Tags()["scalars"]) == {"learning_rate"}


def test_an_epoch_without_mistakes_says_so(tmp_path):
    """Else TensorBoard would go on showing the mistakes of the epoch before."""
    make_dataset(tmp_path / "data")
    right = Predictions(("a", "b"), ("x", "y"), None, np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]]))
    with Dataset(tmp_path / "data", "train") as dataset, EventFiles(tmp_path / "events") as events:
        events.epoch(row(1), predictions=predictions(), dataset=dataset)
        events.epoch(row(2), predictions=right, dataset=dataset)
    first, second = read(tmp_path / "events" / "test").Images("mistakes")
    assert second.step == 2
    sheet = np.asarray(Image.open(BytesIO(second.encoded_image_string)).convert("L"))
    assert sheet.shape != np.asarray(Image.open(BytesIO(first.encoded_image_string)).convert("L")).shape
    assert 100 < (sheet < 128).sum() < sheet.size / 10  # a line of text on white


def test_a_resumed_run_does_not_zigzag(tmp_path):
    """Epochs 3 and 4 were written, then the process was killed and the run resumed from the checkpoint after epoch 2."""
    with EventFiles(tmp_path) as events:
        for epoch in (1, 2, 3, 4):
            events.epoch(row(epoch, float(epoch)))
    with EventFiles(tmp_path, epochs_done=2) as events:
        events.epoch(row(3, 30.0))
        assert scalars(tmp_path / "train", "loss") == [(1, 1.0), (2, 2.0), (3, 30.0)]
        events.epoch(row(4, 40.0))
        events.epoch(row(5, 50.0))
    expected = [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]
    assert scalars(tmp_path / "train", "loss") == expected
    assert [step for step, _ in scalars(tmp_path / "test", "loss")] == [1, 2, 3, 4, 5]


def test_a_record_that_was_cut_off_ends_nothing(tmp_path):
    """The power failed in the middle of a write: what came before is read, and what the resumed run writes."""
    with EventFiles(tmp_path) as events:
        events.epoch(row(1, 1.0))
        events.epoch(row(2, 2.0))
    (path,) = (tmp_path / "train").iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    with EventFiles(tmp_path, epochs_done=1) as events:
        events.epoch(row(2, 20.0))
    assert scalars(tmp_path / "train", "loss") == [(1, 1.0), (2, 20.0)]


def test_many_parts_stay_in_order(tmp_path):
    for epoch in range(1, 13):
        with EventFiles(tmp_path, epochs_done=epoch - 1) as events:
            events.epoch(row(epoch, float(epoch)))
    assert scalars(tmp_path / "test", "accuracy") == [(epoch, pytest.approx(0.7)) for epoch in range(1, 13)]
    assert [step for step, _ in scalars(tmp_path / "train", "loss")] == list(range(1, 13))


def test_the_records_are_whole(tmp_path):
    """A reader by hand: TFRecord is length, its CRC, bytes, their CRC; both are CRC-32C, masked."""
    with EventFiles(tmp_path) as events:
        events.epoch(row(1))
    (path,) = (tmp_path / "train").iterdir()
    content, place, records = path.read_bytes(), 0, 0
    while place < len(content):
        (length,) = struct.unpack("<Q", content[place : place + 8])
        assert struct.unpack("<I", content[place + 8 : place + 12]) == (masked_crc32c(content[place : place + 8]),)
        data = content[place + 12 : place + 12 + length]
        end = place + 12 + length
        assert struct.unpack("<I", content[end : end + 4]) == (masked_crc32c(data),)
        place, records = end + 4, records + 1
    assert place == len(content)
    assert records == 3  # version, where it begins, the epoch


def masked_crc32c(data):
    """CRC-32C (RFC 3720, appendix B.4), bit by bit, rotated and shifted as TFRecord wants it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_the_crc_is_the_right_one():
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert zlib.crc32(b"123456789") != 0xE3069283  # the other polynomial


def hparams(logdir):
    """What the tab HPARAMS gets from TensorBoard's own backend: the experiment, and its groups by name."""
    from google.protobuf import json_format
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    events = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(logdir))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    wanted = api_pb2.GetExperimentRequest(include_metrics=True)
    experiment = get_experiment.Handler(request, backend, "", wanted).run()
    columns = [api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    wanted = api_pb2.ListSessionGroupsRequest(
        slice_size=99, col_params=columns, allowed_statuses=[0, 1, 2, 3], include_metrics=True
    )
    groups = {}
    for group in list_session_groups.Handler(request, backend, "", wanted).run().session_groups:
        measured = {f"{one.name.group} {one.name.tag}": (one.training_step, one.value) for one in group.metric_values}
        status = {session.name: session.status for session in group.sessions}
        groups[group.name] = json_format.MessageToDict(group)["hparams"], measured, status
    return experiment, groups


UNKNOWN, SUCCESS = 0, 1


def test_the_tab_hparams_is_filled(tmp_path):
    """Two runs with the same settings are two rows; beside each stand the last values of its curves."""
    runs = tmp_path / "runs"
    for name, rate in (("one", 0.25), ("two", 0.25), ("three", 0.5)):
        with EventFiles(runs / name) as events:
            for epoch in (1, 2):
                settings = {"learning_rate": rate, "pixels": "unit", "crop": True, "epochs": 2}
                events.epoch(row(epoch, 1 / epoch), settings=settings)
            events.finished = name != "three"
    experiment, groups = hparams(runs)
    assert {info.name for info in experiment.hparam_infos} == {"learning_rate", "pixels", "crop", "epochs"}
    assert set(groups) == {"runs/one", "runs/two", "runs/three"}
    shown, measured, status = groups["runs/three"]
    assert shown == {"learning_rate": 0.5, "pixels": "unit", "crop": True, "epochs": 2.0}
    assert measured["train loss"] == (2, 0.5)
    assert measured["test balanced_accuracy"] == (2, pytest.approx(0.65))
    assert measured["validation loss"] == (2, pytest.approx(0.55))
    assert status == {"three": UNKNOWN}  # it may go on, or have been killed
    assert groups["runs/one"][2] == {"one": SUCCESS}


def test_a_resumed_run_is_one_row_with_its_new_settings(tmp_path):
    for done, epochs in ((0, 1), (1, 2)):
        with EventFiles(tmp_path / "runs/one", epochs_done=done) as events:
            events.epoch(row(done + 1, 1 / (done + 1)), settings={"epochs": epochs})
            events.finished = True
    _, groups = hparams(tmp_path / "runs")
    assert list(groups) == ["runs/one"]
    shown, measured, status = groups["runs/one"]
    assert shown == {"epochs": 2.0}
    assert measured["train loss"] == (2, 0.5)
    assert status == {"one": SUCCESS}


def test_the_names_of_the_runs(shards, tmp_path):
    """A new run is called by its folder; one that an older version has begun goes on where its curves are."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    trained(shards, tmp_path / "runs/new")
    trained(shards, tmp_path / "runs/old", stop_after=5)
    (tmp_path / "runs/old/tensorboard").mkdir()
    for side in ("train", "test"):
        (tmp_path / f"runs/old/{side}").rename(tmp_path / f"runs/old/tensorboard/{side}")
    trained(shards, tmp_path / "runs/old")
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "runs"))
    events.Reload()
    old = {f"old/tensorboard/{side}" for side in ("train", "test")}
    assert set(events.Runs()) - {"old", "old/tensorboard", "new"} == {"new/train", "new/test", *old}
    for side in ("new/train", "old/tensorboard/train"):
        assert [event.step for event in events.GetAccumulator(side).Tensors("loss")] == [1, 2, 3]
    _, groups = hparams(tmp_path / "runs")
    assert groups["runs/new"][1]["test accuracy"][0] == 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_has_lost_nothing(tmp_path, repository):
    program = textwrap.dedent(
        f"""
        import os, signal, sys
        from tests.test_event_files import row
        from scratchnet.training.event_files import EventFiles
        events = EventFiles({str(tmp_path)!r})
        for epoch in (1, 2, 3):
            events.epoch(row(epoch))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [step for step, _ in scalars(tmp_path / "train", "loss")] == [1, 2, 3]
    assert [step for step, _ in scalars(tmp_path / "test", "accuracy")] == [1, 2, 3]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_sides(tmp_path_factory.mktemp("shards") / "data", train=24, test=8)


def trained(shards, folder, *, stop_after=None, events=None):
    """A run of three epochs of three steps, from its beginning or from its checkpoint; what was said on the way."""
    config = Config(image_size=32, epochs=3, batch_size=8)
    experiment, run = Experiment(config, shards), Run(folder)
    if folder.exists():
        progress = experiment.restore(run.load())
    else:
        run, progress = Run.create(folder, config), Progress()
    step = experiment.trainer.step

    def step_then_stop(batch, epoch):
        nonlocal stop_after
        stop_after = None if stop_after is None else stop_after - 1
        if stop_after == 0:
            signal.raise_signal(signal.SIGINT)
        return step(batch, epoch)

    experiment.trainer.step = step_then_stop
    display, said = Display(3, total=1), []
    display.say = said.append
    with events or EventFiles(run.events_folder, progress.epoch) as open_events:
        fit(experiment, run, progress, display, open_events)
    return run, said


def test_a_run_that_was_interrupted_has_each_epoch_once(shards, tmp_path):
    whole, _ = trained(shards, tmp_path / "whole")
    trained(shards, tmp_path / "cut", stop_after=5)
    cut, _ = trained(shards, tmp_path / "cut")
    for side, tag in (("train", "loss"), ("test", "accuracy"), ("train", "gradient_norm/conv1.weight")):
        values = scalars(whole.events_folder / side, tag)
        assert [step for step, _ in values] == [1, 2, 3]
        assert scalars(cut.events_folder / side, tag) == values


def test_a_full_disk_does_not_end_the_training(shards, tmp_path, monkeypatch):
    """The write of the second epoch fails in its middle; the third is written, and what was there before is read."""
    events = EventFiles(tmp_path / "run")
    write, calls = events._write, []

    def full(side, step, values, drawn):
        calls.append(step)
        if step == 2 and side == "test":
            raise OSError(28, "No space left on device")
        write(side, step, values, drawn)

    monkeypatch.setattr(events, "_write", full)
    run, said = trained(shards, tmp_path / "run", events=events)
    assert any("TensorBoard gets nothing of epoch 2: [Errno 28] No space left" in line for line in said)
    assert [step for step, _ in scalars(run.events_folder / "train", "loss")] == [1, 3]
    assert [step for step, _ in scalars(run.events_folder / "test", "loss")] == [1, 3]
    assert len((run.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 4


def without(library, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


def test_the_extra_is_named(tmp_path, monkeypatch):
    without("tensorboard", monkeypatch)
    with pytest.raises(MissingExtraError, match=r"\[viz\]"):
        EventFiles(tmp_path)


def test_without_matplotlib_there_are_curves_and_mistakes(tmp_path, monkeypatch):
    without("matplotlib", monkeypatch)
    with EventFiles(tmp_path) as events:
        assert "[viz]" in events.lacking
        assert events._pictures(predictions(), None) == {}
        events.epoch(row(1, 1.0), predictions=predictions())
    assert scalars(tmp_path / "train", "loss") == [(1, 1.0)]


def test_a_matplotlib_that_fails_costs_its_plots_and_is_said_once(shards, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("FT2Font: no such font\nand a page more")

    events = EventFiles(tmp_path / "run")
    assert events.lacking is None
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    assert "RuntimeError: FT2Font" in EventFiles(tmp_path / "other").lacking
    run, said = trained(shards, tmp_path / "run", events=events)
    (line,) = [line for line in said if "plots" in line]
    assert "no plots from epoch 1 on: matplotlib is installed, and fails (RuntimeError: FT2Font: no such font)" in line
    assert [step for step, _ in scalars(run.events_folder / "train", "loss")] == [1, 2, 3]


def test_a_browser_shows_it(tmp_path, browser):
    """`tensorboard --logdir runs`, on this machine's own address: both curves, and the pictures, after a resume."""
    folder = tmp_path / "runs" / "first"
    with EventFiles(folder) as events:
        for epoch in (1, 2, 3):
            events.epoch(
                row(epoch, float(epoch)), predictions=predictions(), settings={"learning_rate": 0.25, "pixels": "unit"}
            )
    with EventFiles(folder, epochs_done=2) as events:
        events.epoch(row(3, 30.0), predictions=predictions())
    with served(tmp_path / "runs") as address:
        query = "run=first%2Ftrain&tag=loss"
        with urllib.request.urlopen(f"{address}/data/plugin/scalars/scalars?{query}", timeout=30) as answer:
            assert [point[1:] for point in json.load(answer)] == [[1, 1.0], [2, 2.0], [3, 30.0]]
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address)
        page.get_by_text("first/train").first.wait_for(timeout=60_000)
        page.get_by_text("balanced_accuracy").first.wait_for(timeout=60_000)
        page.goto(f"{address}/?darkMode=false#hparams")
        page.reload()
        for shown in ("pixels", "test balanced_accuracy", "runs/first"):
            page.get_by_text(shown).first.wait_for(timeout=60_000)
        page.close()


@contextlib.contextmanager
def served(folder):
    """The address of a TensorBoard that serves a folder on a free port of this machine's own address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--reload_interval", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/data/runs", timeout=5) as answer:
                if json.load(answer):
                    break
            time.sleep(0.5)
        else:
            raise AssertionError("TensorBoard did not start")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
