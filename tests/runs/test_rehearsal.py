"""A reward tried with the model itself: nano answers and judges through the SDK and the embedded engine."""

from __future__ import annotations

import json

import pytest

from studio import datasets, rewards
from studio.origins import FromFile
from studio.rewards.bench import Bench
from studio.runs import rehearsal
from studio.settings import Settings
from studio.store import Store
from studio.work import Done, wait

pytestmark = pytest.mark.slow


def test_the_model_answers_and_judges_in_a_process_of_its_own(tmp_path, monkeypatch):
    for name in ("TINKER_API_KEY", "TINKER_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "tasks.jsonl"
    rows = [{"prompt": f"What is {n} plus {n}?", "reference_answer": str(2 * n)} for n in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    store = Store(settings.database)
    staged_id, _ = datasets.stage(settings, FromFile(file), file.name, "ann")
    dataset = datasets.settle(settings, store, staged_id, "ann")
    store.close()
    reward = rewards.parse(
        "{kind: sum, parts: [{reward: {kind: number}}, {weight: 0.5, reward: {kind: rules, rules: [It is short.]}}]}"
    )

    assert rehearsal.state(dataset.folder) is None
    rehearsal.begin(settings, dataset.folder, reward, rehearsal.Wanted(rows=3, answers=2, max_tokens=8))
    assert rehearsal.asked_reward(dataset.folder) == reward
    ended = wait(rehearsal.ticket(dataset.folder))
    assert isinstance(ended, Done), ended
    bench = Bench.of_dict(ended.result)
    assert [len(group.trials) for group in bench.groups] == [2, 2, 2]
    assert bench.failed == 0
    assert bench.reward == reward
    assert all(group.row.reference for group in bench.groups)
    odds = [trial.score.parts[1].value for group in bench.groups for trial in group.trials]
    assert all(0 < value < 1 for value in odds)
    assert all(0 <= score <= 1.5 for score in bench.scores)
