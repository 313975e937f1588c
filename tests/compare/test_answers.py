"""The answers job on the real engine: the base pane is the base, the tuned pane is the tuned model, and nothing is made up."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import psutil
import pytest
import tinker
from tinker_cookbook import renderers
from tinker_cookbook.eval.benchmarks import _runner, ifeval
from tinker_cookbook.renderers import TrainOnWhat
from tinker_cookbook.supervised.data import conversation_to_datum
from tinker_cookbook.tokenizer_utils import get_tokenizer

from studio import data, models
from studio.compare import blind, generate, generate_benchmark, machine_words, outcome, seeing
from studio.compare.generate_arms import Questioner
from studio.compare.generate_judging import reply_all
from studio.compare.machine import JudgeSettings, Question
from studio.compare.machine_client import NoReplyError, Reply
from studio.data import Message, SplitPlan
from studio.engine.launch import start_engine
from studio.errors import BackendError
from studio.recipe import facts_of, recommend
from studio.runs.link import Link
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import AnswerRow, Job, Store, new_id

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MARKER = "blue zebra"
ROWS = [(f"What is the name of friend number {i}?", f"{MARKER} {i % 3}") for i in range(40)]
PATIENCE = 180.0


@dataclass
class Tuned:
    """A home with one finished run whose model says the marker to everything, and the answers of its comparison."""

    settings: Settings
    store: Store
    run_id: str
    comparison_id: str
    base_url: str
    api_key: str

    def answers(self, arm: str) -> list[AnswerRow]:
        return [row for row in self.store.comparisons.answers(self.comparison_id) if row.arm == arm]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = Store(settings.database)
    models.register_with_cookbook()
    run_id = recorded_run(settings, store)
    with start_engine(settings) as engine:
        key = engine.api_key.reveal()
        early, final = train_marker(tinker.ServiceClient(base_url=engine.base_url, api_key=key))
        store.runs.update(run_id, sampler_path=final)
        keep_checkpoint(settings, run_id, early)
        store.jobs.move(run_id, "completed")
        comparison = generate.start_comparison(settings, store, run_id, "local")
        finish(settings, store, comparison.id)
        yield Tuned(settings, store, run_id, comparison.id, engine.base_url, key)
    store.close()


def recorded_run(settings: Settings, store: Store) -> str:
    dataset_id = new_id("dat")
    file = settings.home / "mine.csv"
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([("prompt", "completion"), *ROWS])
    inspection = data.inspect(file, "mine.csv", settings.datasets / dataset_id)
    dataset = data.split(inspection, SplitPlan("even", 40, 20, 40))
    store.datasets.add(
        dataset_id, owner="local", name="mine", rows=dataset.rows, fingerprint=inspection.fingerprint, manifest_json="{}"
    )
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe
    return store.runs.add(
        owner="local", name="Mine", dataset_id=dataset_id, method="sl", model="nano", recipe_json=recipe.to_json()
    ).id


def keep_checkpoint(settings: Settings, run_id: str, path: str) -> None:
    folder = settings.runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    line = {"name": "000001", "epoch": 0, "batch": 1, "state_path": "tinker://x/weights/000001", "sampler_path": path}
    (folder / "checkpoints.jsonl").write_text(json.dumps(line) + "\n")


def train_marker(service: tinker.ServiceClient) -> tuple[str, str]:
    """Tune on the training rows until every answer is the marker; returns the sampler's paths after one step and at the end."""
    nano = models.get("nano")
    renderer = renderers.get_renderer(nano.renderer, get_tokenizer(nano.wire_name))
    batch = [
        conversation_to_datum(
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": MARKER}],
            renderer,
            256,
            TrainOnWhat.LAST_ASSISTANT_MESSAGE,
        )
        for prompt, _ in ROWS[:8]
    ]
    client = service.create_lora_training_client(base_model=nano.wire_name, rank=16, seed=1).result()
    early = ""
    for number in range(25):
        step = client.forward_backward(batch, "cross_entropy")
        client.optim_step(tinker.AdamParams(learning_rate=5e-3))
        step.result()
        early = early or (client.save_weights_for_sampler(name="000001").result().path if number == 0 else "")
    return early, client.save_weights_for_sampler(name="final").result().path


def finish(settings: Settings, store: Store, job_id: str) -> Job:
    """Let a supervisor of its own work until the job and its process have come to rest."""
    with Supervisor(settings, store) as supervisor:
        supervisor.submit(job_id)
        return at_rest(supervisor, store, job_id)


def at_rest(supervisor: Supervisor, store: Store, job_id: str) -> Job:
    job = wait(store, job_id, lambda job: job.ended)
    wait(store, job_id, lambda _: not supervisor._children)  # the process is collected a moment after its last words
    return job


def wait(store: Store, job_id: str, until: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + PATIENCE
    while not until(job := store.jobs.get(job_id)):
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def engine_of(job: Job) -> psutil.Process:
    assert job.pid is not None
    return next(child for child in psutil.Process(job.pid).children() if "studio.engine" in " ".join(child.cmdline()))


def test_the_job_answers_every_held_out_prompt_on_both_arms(tuned: Tuned):
    job = tuned.store.jobs.get(tuned.comparison_id)
    assert (job.status, job.reason) == ("completed", "")
    dataset = data.load(tuned.settings.datasets / tuned.store.runs.get(tuned.run_id, "local").dataset_id)
    held_out = {row.prompt_id for row in data.rows(dataset.test.path)}
    assert len(held_out) >= 8
    assert job.done == job.total == 2 * len(held_out)
    for arm in ("base", "tuned"):
        assert {row.prompt_id for row in tuned.answers(arm)} == held_out
    assert generate.answers_complete(tuned.store, tuned.comparison_id, "local")


def test_the_tuned_arm_says_the_marker_and_the_base_arm_never(tuned: Tuned):
    assert [row.text for row in tuned.answers("tuned")] == [MARKER] * len(tuned.answers("tuned"))
    assert not [row.text for row in tuned.answers("base") if "zebra" in row.text]
    assert all(row.stop_reason == "stop" and row.text for row in tuned.answers("base") + tuned.answers("tuned"))


def test_stored_answers_are_those_of_independent_samplers(tuned: Tuned):
    """Each stored greedy answer is what its own model says when asked by itself, and not what the other one says."""
    service = tinker.ServiceClient(base_url=tuned.base_url, api_key=tuned.api_key)
    nano, run = models.get("nano"), tuned.store.runs.get(tuned.run_id, "local")
    samplers = {
        "base": service.create_sampling_client(base_model=nano.wire_name).result(),
        "tuned": service.create_sampling_client(model_path=run.sampler_path).result(),
    }
    tokenizer = get_tokenizer(nano.wire_name)
    template = Questioner(nano, nano.renderer)
    asked = {one.prompt_id: one for one in tuned_questions(tuned)}
    for arm, other in (("base", "tuned"), ("tuned", "base")):
        for row in tuned.answers(arm)[:6]:
            prompt = template.prompt(asked[row.prompt_id].messages)
            end = tokenizer.encode("<|im_end|>", add_special_tokens=False)
            params = tinker.SamplingParams(max_tokens=64, temperature=0.0, stop=end)
            said = {
                name: tokenizer.decode(sampler.sample(prompt, 1, params).result().sequences[0].tokens, skip_special_tokens=True)
                for name, sampler in samplers.items()
            }
            assert said[arm] == row.text
            assert said[other] != row.text
            whole = prompt.to_ints() + tokenizer.encode(row.reference, add_special_tokens=False) + end
            logprobs = samplers[arm].compute_logprobs(tinker.ModelInput.from_ints(whole)).result()
            answer = [logprob for logprob in logprobs[prompt.length :] if logprob is not None]
            assert row.nll_tokens == len(answer)
            assert row.nll == pytest.approx(-sum(answer) / len(answer), abs=1e-3)


def tuned_questions(tuned: Tuned) -> tuple[generate.Question, ...]:
    comparison = tuned.store.comparisons.get(tuned.comparison_id, "local")
    return generate.questions(tuned.settings, generate.Plan.of(comparison))


def test_the_measures_are_stored(tuned: Tuned):
    found = {one.name: one for one in generate.measures(tuned.store, tuned.comparison_id, "local")}
    assert {"loss", "perplexity", "exact", "length"} <= set(found)
    assert found["loss"].tuned < found["loss"].base
    assert found["perplexity"].base == pytest.approx(math.exp(found["loss"].base))


def test_the_blind_panes_show_each_model_on_its_dealt_side(tuned: Tuned):
    session = blind.open_session(tuned.store, tuned.comparison_id, "local").id
    token = blind.invite(tuned.store, session, "local", "Ana").token
    for position in range(blind.progress(tuned.store, token).total):
        item = blind.item(tuned.store, token, position)
        blind.vote(tuned.store, token, position, "left" if MARKER in item.left else "right")
    assert outcome.verdict_of(tuned.store, session, "local").win_rate == 1.0
    assert {one.tuned_side for one in blind.finish(tuned.store, token, "unsure").items} == {"left", "right"}


def test_stopped_and_killed_answers_go_on_and_come_out_the_same(tuned: Tuned):
    wanted = generate.CompareSettings(seed=1)
    comparison = generate.start_comparison(tuned.settings, tuned.store, tuned.run_id, "local", wanted)
    invented = next(row for row in tuned.answers("tuned"))
    before = AnswerRow(**{**as_fields(invented), "comparison_id": comparison.id, "text": "already here"})
    tuned.store.comparisons.add_answers([before])
    with Supervisor(tuned.settings, tuned.store) as supervisor:
        supervisor.submit(comparison.id)
        wait(tuned.store, comparison.id, lambda job: job.phase == "starting the engine")
        supervisor.stop(comparison.id)
        job = wait(tuned.store, comparison.id, lambda job: job.ended)
        assert job.status == "stopped"
        assert "choose Ask again" in job.next_step

        supervisor.resume(comparison.id)
        running = wait(tuned.store, comparison.id, lambda job: job.phase in ("preparing the prompts", "answering"))
        engine_of(running).kill()
        job = wait(tuned.store, comparison.id, lambda job: job.ended)
        assert (job.status, "engine stopped" in job.reason, bool(job.next_step)) == ("failed", True, True)
        assert generate.measures(tuned.store, comparison.id, "local") == ()
        clean = {(row.prompt_id, row.arm): row.text for row in tuned.answers("base") + tuned.answers("tuned")}
        clean[before.prompt_id, before.arm] = "already here"
        for row in tuned.store.comparisons.answers(comparison.id):
            assert row.text == clean[row.prompt_id, row.arm], "only what a model said is stored"

        again = generate.start_comparison(tuned.settings, tuned.store, tuned.run_id, "local", wanted)
        assert again.id == comparison.id
        supervisor.submit(again.id)
        assert at_rest(supervisor, tuned.store, comparison.id).status == "completed"
    assert {(row.prompt_id, row.arm): row.text for row in tuned.store.comparisons.answers(comparison.id)} == clean


def test_four_arms_answer_an_own_list(tuned: Tuned, tmp_path: Path):
    """A checkpoint answers as what it is, the file's answers are the file's, and a killed job stores nothing twice."""
    asked = [f"Who lives in house number {i}?" for i in range(6)]
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as handle:
        csv.writer(handle).writerows([("prompt", "answer"), *((prompt, f"Nobody, {i}.") for i, prompt in enumerate(asked))])
    others = generate.Others((1,), (), (generate.keep_answers(tuned.settings, other, "other.csv"),))
    source = generate.keep_pasted(tuned.settings, "\n".join([*asked, "A question that the file does not answer?"]))
    comparison = generate.start_comparison(tuned.settings, tuned.store, tuned.run_id, "local", others=others, prompts=source)
    assert finish(tuned.settings, tuned.store, comparison.id).status == "completed"
    told: dict[str, list[AnswerRow]] = {}
    for row in tuned.store.comparisons.answers(comparison.id):
        told.setdefault(row.arm, []).append(row)
    assert list(told) == ["base", "tuned", "step-1", "file-1"]
    assert {len(rows) for rows in told.values()} == {6}
    assert {row.text for row in told["tuned"]} == {MARKER}
    assert [row.text for row in told["file-1"]] == [f"Nobody, {i}." for i in range(6)]
    assert not [row for row in [*told["base"], *told["step-1"]] if "zebra" in row.text]
    assert [row.text for row in told["step-1"]] != [row.text for row in told["base"]]
    found = {one.name: one for one in generate.measures(tuned.store, comparison.id, "local", "step-1")}
    assert (found["length"].reference, found["length"].n) == ("base", 6)
    assert found["latency"].base > 0
    assert (
        generate.start_comparison(tuned.settings, tuned.store, tuned.run_id, "local", others=others, prompts=source).id
        == comparison.id
    )


def as_fields(row: AnswerRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in AnswerRow.__dataclass_fields__}


def test_a_missing_checkpoint_fails_with_its_reason_and_no_answers(tuned: Tuned):
    run = tuned.store.runs.get(tuned.run_id, "local")
    tuned.store.runs.update(run.id, sampler_path=run.sampler_path.replace("final", "gone"))
    comparison = generate.start_comparison(tuned.settings, tuned.store, run.id, "local")
    tuned.store.runs.update(run.id, sampler_path=run.sampler_path)
    job = finish(tuned.settings, tuned.store, comparison.id)
    assert job.status == "failed"
    assert job.reason
    assert job.next_step
    assert [row for row in tuned.store.comparisons.answers(comparison.id) if row.arm == "tuned"] == []


def test_one_prompt_asks_the_model_that_was_named(tuned: Tuned):
    prompt = "What is the name of friend number 99?"
    assert generate.sample_once(tuned.settings, tuned.store, tuned.run_id, prompt) == MARKER
    said = generate.sample_once(tuned.settings, tuned.store, "nano", prompt, max_tokens=24)
    assert said
    assert "zebra" not in said


def test_a_model_of_the_catalogue_judges_in_its_own_chat_format(tuned: Tuned, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TINKER_BASE_URL", tuned.base_url)
    monkeypatch.setenv("TINKER_API_KEY", tuned.api_key)
    asked = [
        Question(f"p{i}", *sides, machine_words.asked(f"{i}", (seeing.Message("user", "Hello?"),), *sides))
        for i, sides in enumerate((("one", "two"), ("two", "one"), ("one", "word " * 9000)))
    ]
    heard: dict[str, Reply | NoReplyError] = {}
    wanted = JudgeSettings("nano", max_tokens=12)
    asyncio.run(reply_all(models.get("nano"), wanted, asked, lambda one, reply: heard.update({one.prompt_id: reply})))
    first, second, long = (heard[one.prompt_id] for one in asked)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    # The smallest model there is need not know how to judge: what it says is read by the rule, and no score is made of it.
    assert all(one.text and (one.tokens_in or 0) > 100 and 0 < (one.tokens_out or 0) <= 12 for one in (first, second))
    assert all(bool(found.choice) != bool(found.missing) for found in (machine_words.read(one.text) for one in (first, second)))
    assert isinstance(long, NoReplyError)
    assert not long.hopeless


def test_a_benchmark_marks_both_by_the_cookbooks_rules_and_a_failure_is_no_wrong_answer(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
):
    # The form of google/IFEval. The tuned model says the marker to everything.
    rows = [(f"What is the name of friend number {i}?", word) for i, word in enumerate(("zebra", "zebra", "unicorn"))]
    asked = [
        {"key": i, "prompt": p, "instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": [w]}]}
        for i, (p, w) in enumerate(rows)
    ]
    monkeypatch.setattr(ifeval, "load_benchmark_dataset", lambda *_, **__: datasets.Dataset.from_list(asked))
    monkeypatch.setattr(
        generate_benchmark, "alone", lambda *_: contextlib.nullcontext((Link(tuned.base_url, None), tuned.api_key))
    )
    whole, broken = _runner.do_single_rollout, True

    async def rollout(policy: Any, env: Any) -> Any:
        if broken and env.message_env.example_id == "ifeval_1":
            raise RuntimeError("The line is dead.")
        return await whole(policy, env)

    monkeypatch.setattr(_runner, "do_single_rollout", rollout)
    terms = generate_benchmark.Terms("ifeval", max_tokens=24)
    found = generate_benchmark.run_benchmark(tuned.settings, tuned.store, tuned.run_id, terms)
    assert found.tuned is not None
    assert (found.tuned.right, found.tuned.n, found.tuned.failed, found.base.right, found.base.n) == (1, 2, 1, 0, 2)
    broken = False
    found = generate_benchmark.run_benchmark(tuned.settings, tuned.store, tuned.run_id, terms)
    assert found.tuned is not None
    assert found.measure is not None
    assert (found.tuned.right, found.tuned.n, found.tuned.failed) == (2, 3, 0)
    assert (found.measure.base, found.measure.tuned, found.measure.n) == (0.0, 2 / 3, 3)
    # What is known is not asked again.
    monkeypatch.setattr(_runner, "do_single_rollout", None)
    assert generate_benchmark.run_benchmark(tuned.settings, tuned.store, tuned.run_id, terms).measure == found.measure


def test_a_dead_server_is_a_backend_error(tuned: Tuned, tmp_path: Path):
    nano = models.get("nano")
    template = Questioner(nano, nano.renderer)
    assert template.params(template.prompt([Message("user", "word " * 9000)]), generate.CompareSettings(), 0) is None
    broken = Settings(home=tmp_path)
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    with pytest.raises(BackendError):
        generate.sample_once(broken, tuned.store, tuned.run_id, "Hello")
