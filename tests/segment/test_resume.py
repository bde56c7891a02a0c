"""A run that was stopped or killed goes on where it was, and gives what an undisturbed one does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from stand_ins import BrightIsMyelin, rings
from test_tree import NAMES, files_in, record, segment, stopped, study

from myelin.folders.naming import PREDS
from myelin.images.image import write_image
from myelin.runtime.lock import holding
from myelin.segment import pipeline as preds
from myelin.segment import run_record
from myelin.segment import segmenter as work

__all__ = ["study"]  # a fixture

FILES = ("--images", "study")


@pytest.fixture(params=[True, False], ids=["packed", "files"])
def call(request, study):
    """The arguments of a run over four images, packed or as they are; it has run once."""
    if request.param:
        for name in NAMES:
            target = Path("raw/test", name.replace("/", "_") + ".tif")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"study/{name}.tif", target)
    return () if request.param else FILES


def contents():
    """Return {path: bytes} of all results; of run.json what does not tell the time or the run."""
    found = {}
    for folder in filter(Path.exists, (PREDS, Path("npydata"))):
        found |= {(folder.name, name): (folder / name).read_bytes() for name in files_in(folder)}
    run = json.loads(found.pop(("preds", "run.json")))
    for key in ("date", "run", "command", "resumed"):
        run.pop(key, None)
    return found, run


def stop_at(monkeypatch, place, *arguments, killed=False):
    """Stop a run when the probability of its image number `place` is to be written.

    Killed, it can write no run.json any more.
    """
    with monkeypatch.context() as patch:
        write, asked, save = work.write_image, [], run_record.RunRecord.save

        def stop(path, *rest, **more):
            asked.append(path)
            if path.name.endswith("_pred.png") and path == order[place]:
                raise KeyboardInterrupt
            write(path, *rest, **more)

        def first_only(self):
            if not hasattr(self, "due"):
                save(self)
            self.due = np.inf

        ids = sorted(name for name in NAMES)
        flat = not arguments or "--images" not in arguments
        order = [PREDS / f"{name.replace('/', '_') if flat else name}_pred.png" for name in ids]
        patch.setattr(work, "write_image", stop)
        patch.setattr(work.Segmenter, "width", 1)  # so that images end in order
        if killed:
            patch.setattr(run_record.RunRecord, "save", first_only)
        with pytest.raises(SystemExit) as end:
            segment(*arguments)
    assert end.value.code == 130


@pytest.mark.parametrize("killed", [False, True])
def test_a_stopped_run_goes_on_to_the_same_files(call, monkeypatch, capsys, killed):
    segment(*call)
    wanted = contents()
    shutil.rmtree(PREDS)
    engine = BrightIsMyelin()
    stop_at(monkeypatch, 2, *call, "--resume", killed=killed)  # begins, as there is none
    journal = PREDS / ".run.jsonl"
    assert journal.exists() and record()["complete"] is False
    with open(journal, "a") as file:
        file.write('{"name": "cut o')
    monkeypatch.setattr(preds, "open_engine", lambda *_, **__: engine)
    capsys.readouterr()
    segment(*call, "--resume")
    assert "going on: 2 of 4 images are done\n" in capsys.readouterr().out
    assert len(engine.seen) == 2 and len(record()["resumed"]) == 1
    assert contents() == wanted
    segment(*call, "--resume")
    assert len(engine.seen) == 2 and contents() == wanted


def test_the_scale_is_not_looked_for_again(study, monkeypatch):
    def never(*_):
        raise AssertionError

    stop_at(monkeypatch, 1, *FILES)
    monkeypatch.setattr(preds, "decide", never)
    segment(*FILES, "--resume")
    assert list(record()["images"]) == list(NAMES)


@pytest.mark.parametrize(
    ("arguments", "change", "message"),
    [
        (["--threshold", "0.7"], None, "differs in threshold; repeat its call, or leave out"),
        (["--pixel-size", "0.1"], None, "differs in options, changed images (control/a1"),
        ([], "control/a1/y", "differs in changed images (control/a1/y); repeat"),
        ([], "control/a1/z", "differs in new images (control/a1/z); repeat"),
    ],
)
def test_nothing_is_mixed(study, monkeypatch, capsys, arguments, change, message):
    stop_at(monkeypatch, 1, *FILES)
    if change:
        write_image(study / f"{change}.tif", rings(60, 60), 0.2)
    before = contents()
    (line,) = stopped(capsys, 2, *FILES, "--resume", *arguments)
    assert line.startswith("error: preds: a run that was stopped there") and message in line
    assert contents() == before
    segment(*FILES, *arguments)  # begins anew
    assert record()["complete"] and "resumed" not in record()


def test_a_complete_run_of_other_settings_is_none_to_go_on_with(study, capsys):
    segment(*FILES)
    assert "begins" not in capsys.readouterr().out
    segment(*FILES, "--resume", "--threshold", "0.7")
    said = capsys.readouterr().out
    assert "note: preds: the run there is complete and differs in threshold; a new one" in said
    assert record()["threshold"] == 0.7 and "resumed" not in record()


def test_what_was_lost_or_not_brought_to_the_disk_is_done_again(call, monkeypatch):
    segment(*call)
    wanted = contents()
    shutil.rmtree(PREDS)
    stop_at(monkeypatch, 3, *call)
    masks = sorted(PREDS.rglob("*_mask.tif"))
    masks[1].unlink()
    next(PREDS.rglob("*_overlay.png")).unlink()
    segment(*call, "--resume")
    assert contents() == wanted


def test_an_image_that_changes_during_the_run_is_named_and_the_rest_done(study, capsys):
    real = preds.decide

    def change(*arguments):
        write_image(study / "control/a1/y.tif", rings(60, 60), 0.2)
        (study / "treated/a1/x.tif").write_bytes(b"")
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preds, "decide", change)
        lines = stopped(capsys, 3, *FILES)
    assert "control/a1/y: has changed since the run began" in lines[0]
    assert "treated/a1/x.tif" in lines[1] and list(record()["images"]) == [NAMES[0], NAMES[3]]
    assert record()["pending"] == [NAMES[1], NAMES[2]]


def test_a_run_at_work_is_not_gone_on_with(study, capsys):
    with holding(PREDS):
        assert "preds: in use by" in stopped(capsys, 2, *FILES, "--resume")[0]
