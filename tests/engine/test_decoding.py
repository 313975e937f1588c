"""The quick ways of decoding against the plain ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from studio.engine.choosing import Choice, Chooser
from studio.engine.decoding import RoomyLayer, attend


class Grouped(nn.Module):
    num_key_value_groups = 3
    is_causal = True


def test_attention_of_one_query_equals_the_librarys() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(4, 6, 1, 8), torch.randn(4, 2, 11, 8), torch.randn(4, 2, 11, 8)
    mask = torch.zeros(4, 1, 1, 11)
    mask[1, :, :, :5] = -torch.inf
    for scaling in (None, 0.3):
        quick, _ = attend(Grouped(), query, key, value, mask, scaling=scaling)
        plain, _ = sdpa_attention_forward(Grouped(), query, key, value, mask, scaling=scaling)
        assert quick.shape == plain.shape == (4, 1, 6, 8)
        torch.testing.assert_close(quick, plain, atol=1e-6, rtol=1e-5)


def test_attention_of_many_queries_is_the_librarys() -> None:
    query, key, value = torch.randn(2, 6, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    quick, _ = attend(Grouped(), query, key, value, None)
    plain, _ = sdpa_attention_forward(Grouped(), query, key, value, None)
    assert torch.equal(quick, plain)


def test_a_roomy_layer_holds_what_a_plain_one_holds() -> None:
    rng = np.random.default_rng(0)
    roomy, plain = RoomyLayer(), DynamicLayer()
    rows = 5
    for turn in range(160):
        new = [torch.randn(rows, 2, 7 if turn == 0 else 1, 4) for _ in range(2)]
        for found, expected in zip(roomy.update(*new), plain.update(*new), strict=True):
            assert torch.equal(found, expected)
        if turn % 40 == 20:  # some rows leave, columns are cut, rows join
            index = torch.from_numpy(rng.permutation(rows)[: rows - 1].copy())
            for layer in (roomy, plain):
                layer.batch_select_indices(index)
                layer.keys, layer.values = layer.keys[:, :, 1:], layer.values[:, :, 1:]
                layer.keys = torch.cat([layer.keys, layer.keys[:1]])
                layer.values = torch.cat([layer.values, layer.values[:1]])
        assert roomy.get_seq_length() == plain.get_seq_length()


def test_every_draw_gives_the_token_of_a_plain_search() -> None:
    torch.manual_seed(1)
    for vocabulary in (3, 64, 259, 1000):
        logits = torch.randn(2000, vocabulary) * 3
        logits[:, 0] = -torch.inf
        draws = np.random.default_rng(vocabulary).random(2000)
        draws[:3] = 0.0, 1 - 2**-53, 0.5
        for choice in (Choice(), Choice(temperature=0.5)):
            tokens, logp = Chooser([choice] * 2000, logits.device).pick(logits, draws.tolist())
            cumulated = torch.softmax(logits.double() / choice.temperature, -1).cumsum(-1).numpy()
            expected = np.array(
                [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(cumulated, draws, strict=True)]
            )
            # A draw within rounding of the border between two tokens may fall to either.
            same = tokens.numpy() == expected
            assert same.mean() > 0.999
            assert (tokens > 0).all()
            torch.testing.assert_close(logp, torch.log_softmax(logits, -1).gather(1, tokens[:, None])[:, 0])


def test_a_cut_off_token_is_never_drawn() -> None:
    logits = torch.zeros(500, 200)
    logits[:, 120] = 0.01
    draws = np.random.default_rng(0).random(500).tolist()
    tokens, _ = Chooser([Choice(top_k=1, temperature=2.0)] * 250 + [Choice(top_p=1e-6)] * 250, logits.device).pick(
        logits, draws
    )
    assert set(tokens.tolist()) == {120}


def test_a_row_draws_the_same_whatever_its_neighbours_keep() -> None:
    torch.manual_seed(2)
    logits = torch.randn(400, 300) * 2
    draws = np.random.default_rng(5).random(400).tolist()
    choices = [Choice(), Choice(0.7), Choice(0.0), Choice(top_p=0.8), Choice(1.5, top_k=20)]
    mixed, _ = Chooser([choices[row % 5] for row in range(400)], logits.device).pick(logits, draws)
    for which, choice in enumerate(choices):
        alone, _ = Chooser([choice] * 80, logits.device).pick(logits[which::5], draws[which::5])
        assert torch.equal(mixed[which::5], alone)


def test_a_row_without_numbers_does_not_disturb_its_neighbours() -> None:
    logits = torch.randn(3, 200)
    for broken in (float("nan"), float("inf")):
        for choice in (Choice(), Choice(0.7), Choice(top_p=0.9)):
            torn = logits.clone()
            torn[1] = broken
            tokens, logp = Chooser([choice] * 3, logits.device).pick(torn, [0.2, 0.5, 0.9])
            whole, _ = Chooser([choice] * 3, logits.device).pick(logits, [0.2, 0.5, 0.9])
            assert torch.equal(tokens[::2], whole[::2])
            assert logp.isfinite().tolist() == [True, False, True]
