"""A reward tried before training: the model that would be trained answers a few rows, through the same SDK, and is scored.

Guarantees: the answers are the model's own, sampled as training samples them; nothing is trained and nothing is stored but the
outcome, beside the data set; a page that asks for it never waits (``begin``, ``state``), the terminal does (``rehearse``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from studio import data, models, work
from studio.errors import RunError
from studio.rewards import Reward, Rules, TaskRow, needs, parse, task_row, to_json
from studio.rewards.bench import ANSWERS, ROWS, Bench, Sampler, try_reward
from studio.rewards.of_data import some_full_rows
from studio.rewards.tree import every
from studio.runs.environment import child_environment
from studio.settings import Settings
from studio.work import Limits, State, Ticket

if TYPE_CHECKING:
    import tinker

    from studio.models import Model
    from studio.models.rendering import Template
    from studio.rewards import Judge

#: The name of the task, and how long the whole of it may take (a large model may have to be loaded).
TASK: Final = "try the reward"
_SECONDS: Final = 1_200
_LEAST_ROOM: Final = 8

#: Hears the phase that begins.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who answers, and how. ``model`` is a catalogue name; ``sampler_path`` the tuned weights of a run, empty for none.

    ``rows`` rows get ``answers`` answers each, of at most ``max_tokens`` tokens. An empty ``renderer`` is the recommended one.
    """

    model: str = "nano"
    renderer: str = ""
    sampler_path: str = ""
    rows: int = ROWS
    answers: int = ANSWERS
    temperature: float = 1.0
    max_tokens: int = 64
    seed: int = 0


def ticket(folder: Path) -> Ticket:
    """Where a data set's rehearsal lies."""
    return Ticket(folder, "bench")


def begin(settings: Settings, folder: Path, reward: Reward, wanted: Wanted) -> Ticket:
    """Try the reward on the training rows of the data set in ``folder``, in a process of its own. Returns at once.

    Raises ``DataError`` when one is under way already, ``NotFoundError`` for an unknown model.
    """
    model = models.get(wanted.model)
    asked = {"home": str(settings.home), "reward": to_json(reward), "wanted": asdict(wanted)}
    # The connection, the key with it, travels in the environment only.
    connection = child_environment(settings, {})
    return work.start(
        TASK,
        ticket(folder),
        asked,
        limits=Limits(seconds=_SECONDS),
        secrets=connection,
        online=not model.local,
        program="studio.runs.rehearsal_job",
    )


def state(folder: Path) -> State | None:
    """Where the data set's rehearsal stands; ``None`` when there never was one."""
    return work.state(ticket(folder))


def cancel(folder: Path) -> None:
    """End it."""
    work.cancel(ticket(folder))


def asked_reward(folder: Path) -> Reward | None:
    """The reward that the last rehearsal is about. Raises ``RewardError`` when it cannot be read any more."""
    asked = work.arguments(ticket(folder))
    return parse(str(asked["reward"])) if asked else None


def rehearse(
    settings: Settings, path: Path, reward: Reward, wanted: Wanted, *, tell: Tell = lambda _: None, log: Path | None = None
) -> Bench:
    """Try the reward on rows of the part at ``path``, evenly spaced. Stays until it is done.

    Raises ``RewardError`` when the reward cannot be used on these rows or this machine, ``BackendError`` when the model failed.
    """
    from studio.runs.environment import settle_down
    from studio.runs.link import alone, beside

    rows = some_full_rows(path, wanted.rows)
    model = models.get(wanted.model)
    judges = _judges(reward, model)
    tell("starting the engine" if settings.place == "embedded" else "connecting")
    settle_down(settings, offline=all(each.local for each in judges))
    with alone(settings, [each.name for each in judges], log) as (link, key):
        tell("loading the model")
        return beside(link, _tried(link.base_url, key, rows, reward, wanted, model, tell))


def _judges(reward: Reward, model: Model) -> tuple[Model, ...]:
    """The model that answers, and those that judge."""
    named = [models.get(each.judge) for each in every(reward) if isinstance(each, Rules) and each.judge]
    return tuple(dict.fromkeys((model, *named)))


async def _tried(
    address: str | None, key: str, rows: Sequence[data.Row], reward: Reward, wanted: Wanted, model: Model, tell: Tell
) -> Bench:
    import tinker

    from studio.models.rendering import template

    service = tinker.ServiceClient(base_url=address, api_key=key)
    form = template(model, wanted.renderer)
    client = await (
        service.create_sampling_client(model_path=wanted.sampler_path)
        if wanted.sampler_path
        else service.create_sampling_client(base_model=model.wire_name)
    )
    found = await try_reward(
        reward,
        [task_row(row) for row in rows],
        _sampler(client, form, rows, wanted, tell),
        answers=wanted.answers,
        judge=_judge(service, model) if needs(reward).judge else None,
    )
    await service.close("success")
    return found


def _sampler(client: tinker.SamplingClient, form: Template, rows: Sequence[data.Row], wanted: Wanted, tell: Tell) -> Sampler:
    import asyncio

    from studio.rewards.rows import asked

    async def answer(place: int, answers: int) -> list[str]:
        import tinker

        prompt = form.prompt(asked(rows[place]))
        room = form.model.context - prompt.length
        if room < _LEAST_ROOM:
            raise RunError(
                "A row is too long for this model.", where=f"line {rows[place].line}", next_step="Shorten it, or leave it out."
            )
        params = tinker.SamplingParams(
            max_tokens=min(wanted.max_tokens, room),
            temperature=wanted.temperature,
            seed=wanted.seed + place,
            stop=form.stop,
        )
        given = await client.sample(prompt=prompt, num_samples=answers, sampling_params=params)
        return [form.text(sequence.tokens) for sequence in given.sequences]

    async def sample(given: Sequence[TaskRow], answers: int) -> Sequence[Sequence[str]]:
        tell("answering")
        found = await asyncio.gather(*(answer(place, answers) for place in range(len(given))))
        tell("scoring")
        return found

    return sample


def _judge(service: tinker.ServiceClient, model: Model) -> Judge:

    from studio.runs.rule_judge import RuleJudge

    async def client(judging: Model) -> tinker.SamplingClient:
        return await service.create_sampling_client(base_model=judging.wire_name)

    return RuleJudge(model, models.get, client)
