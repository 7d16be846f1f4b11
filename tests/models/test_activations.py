"""PReLU is PyTorch's, values and gradients."""

import torch

from hvdtma.models.activations import PReLU


def test_prelu_is_pytorchs():
    torch.manual_seed(0)
    ours, theirs = PReLU(), torch.nn.PReLU()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for slope in (0.25, -0.5, 0.0, 1.5):
        results = []
        for module in (ours, theirs):
            torch.nn.init.constant_(module.weight, slope)
            x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
            out = module(x)
            results.append((out, *torch.autograd.grad((out**2).sum(), [x, module.weight])))
        for left, right in zip(*results, strict=True):
            torch.testing.assert_close(left, right)
        assert results[0][0].equal(results[1][0])
