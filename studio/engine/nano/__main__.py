"""``python -m studio.engine.nano build | card | measure | samples``: what makes nano and its numbers, one verb each."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from studio.assets import asset


def main() -> None:
    """Read the verb and its options, and run it."""
    parser = argparse.ArgumentParser(prog="python -m studio.engine.nano", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="corpus, tokenizer, pre-training, card")
    build.add_argument("--out", type=Path, default=asset() / "nano", help="folder for weights, tokenizer and card")
    build.add_argument("--work", type=Path, default=Path("build/nano"), help="folder for the resumable checkpoint and the log")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--steps", type=int, default=3_750)
    build.add_argument("--device", default="auto", help="auto, cpu or cuda")
    build.add_argument(
        "--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the matrix products; weights are fp32"
    )
    build.add_argument("--threads", type=int, default=1, help="CPU threads; one was fastest for matrices this small")
    for verb, text in (("card", "measure the model and write its card"), ("measure", "find the settings for fine-tuning it")):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("--out", type=Path, default=asset("nano"), help="folder of the model")
        one.add_argument("--threads", type=int, default=1)
    drawn = verbs.add_parser("samples", help="write the sample data sets again")
    drawn.add_argument("--out", type=Path, default=asset() / "samples")
    options = parser.parse_args()
    if options.verb == "samples":
        from studio.engine.nano.make_samples import write_samples

        write_samples(options.out)
    else:
        _heavy(options)


def _heavy(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(options.threads)
    if options.verb == "build":
        _build(options)
    if options.verb in ("build", "card"):
        from studio.engine.nano.card import write_card

        card = write_card(options.out)
        print(json.dumps({key: value for key, value in card.items() if not isinstance(value, list)}, indent=1))
    if options.verb == "measure":
        from studio.engine.nano.measure import measure

        measure(options.out)


def _build(options: argparse.Namespace) -> None:
    from studio.engine.nano.pretrain import Plan, pretrain, start_tokenizer

    plan = Plan(seed=options.seed, steps=options.steps, device=options.device, precision=options.precision)
    pretrain(start_tokenizer(options.seed, options.work), plan, options.out, options.work)


if __name__ == "__main__":
    main()
