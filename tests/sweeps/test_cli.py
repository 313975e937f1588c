"""``probe`` and ``sweep`` in the terminal: the cost comes first, and what cannot be searched is refused before it starts."""

from __future__ import annotations

import json

import pytest

from studio.cli import main, sweeping
from studio.cli.output import Output
from studio.runs.supervisor import Supervisor
from studio.sweeps.plan import Axis, Plan

OVER = ("--over", "learning_rate=0.001,0.004", "--over", "lora_rank=8,32")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "mine.jsonl"
    rows = [{"prompt": f"What is the colour of thing {i}?", "completion": f"Thing {i} is blue."} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("words", "trials"),
    [(["probe"], 3), (["sweep", "--tpe", "--trials", "6", "--over", "learning_rate=1e-4..1e-2"], 6)],
)
def test_the_cost_is_said_first_and_nothing_starts(words, trials, file, tmp_path, capsys):
    assert main([words[0], file, *words[1:], "--cost", "--json", "--home", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["trials"] == trials
    assert not list(tmp_path.glob("runs/*"))


def test_a_grid_over_the_limit_is_refused(file, tmp_path, capsys):
    assert main(["sweep", file, *OVER, "--trials", "3", "--json", "--home", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["where"] == "--trials"


def test_a_sweep_without_a_finished_trial_is_no_success(house, capsys, monkeypatch):
    monkeypatch.setattr(sweeping, "_PAUSE", 0.02)
    sweep = house.sweep(Plan("grid", house.recipe, (Axis("learning_rate", (0.003, 0.004)),)))
    monkeypatch.setattr(Supervisor, "submit", lambda self, job_id: self.stop(job_id))
    assert sweeping.stay(house.settings, house.store, sweep.id, Output(as_json=True)) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["best"], shown["trials"]) == ("stopped", None, [])
    assert "nothing to choose" in shown["sentence"]
    home = ("--json", "--home", str(house.settings.home))
    assert main(["sweeps", *home]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["sweep_id"], listed["status"]) == (sweep.id, "stopped")
    assert main(["sweeps", sweep.id, *home]) == 0
    assert json.loads(capsys.readouterr().out) == shown
    assert main(["sweeps", "swp-000000", *home]) == 1
