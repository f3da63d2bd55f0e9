"""Counted operations, bytes and messages against values computed by hand."""

import torch
from torch import nn

from vidgan.training.cost import Meter, TurnCost, ring_bytes


def test_flops_of_products_and_convolutions() -> None:
    linear, conv = nn.Linear(10, 20, bias=False), nn.Conv2d(3, 8, 4, stride=2, padding=1)
    with Meter() as meter:
        linear(torch.zeros(5, 10)).sum().backward()
    assert meter.flops == 2 * (2 * 5 * 10 * 20)  # the product and the gradient of the weights
    frames = torch.zeros(2, 3, 16, 16, requires_grad=True)
    with Meter() as meter:
        conv(frames)
    assert meter.flops == 2 * 2 * 8 * 8 * 8 * 3 * 4 * 4  # 2 x frames x outputs x positions x inputs x kernel
    with Meter() as meter:
        conv(frames).sum().backward()
    assert meter.flops == 3 * (2 * 2 * 8 * 8 * 8 * 3 * 4 * 4)  # forward, gradient of the weights, of the input


def test_a_second_derivative_is_counted() -> None:
    conv = nn.Conv2d(3, 8, 4, stride=2, padding=1)
    frames = torch.zeros(2, 3, 16, 16, requires_grad=True)
    once = 2 * 2 * 8 * 8 * 8 * 3 * 4 * 4
    with Meter() as meter:
        (gradient,) = torch.autograd.grad(conv(frames).square().sum(), frames, create_graph=True)
        gradient.square().sum().backward()
    assert meter.flops >= 5 * once


def test_live_bytes() -> None:
    first, second = nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False)
    x, product = torch.zeros(50, 100), 50 * 100 * 4
    with Meter() as meter:
        hidden = first(x)
        hidden = torch.relu(hidden)  # relu saves its output, so the product is freed
        assert (meter.live, max(meter.history)) == (2 * product - product, 2 * product)
        y = second(hidden)
        loss = y.sum()
        del hidden
        assert meter.live == 2 * product + 4  # `hidden` is saved for the backward pass
        loss.backward()
        del y, loss
        assert meter.live == 2 * 100 * 100 * 4  # the gradients of the weights
        first.zero_grad()
        second.zero_grad()
        assert meter.live == 0
    assert max(meter.history) >= 2 * product + 2 * 100 * 100 * 4


def test_costs_are_extrapolated_by_clip() -> None:
    cost = TurnCost(10, (100, 80, 0)).with_clips(TurnCost(18, (110, 100, 0)), 5)
    assert cost == TurnCost(34, (130, 140, 0)) and cost.peak == 140
    assert TurnCost(10, (100,)).with_clips(TurnCost(18, (110, 105)), 5).peak == 130


def test_ring_all_reduce_sends_all_but_one_piece_twice() -> None:
    assert ring_bytes(100, 1) == 0
    assert ring_bytes(100, 2) == 100
    assert ring_bytes(100, 4) == 150
