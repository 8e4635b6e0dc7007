"""The model: a small Llama (RMSNorm, grouped-query attention, SwiGLU, tied embeddings)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    vocab: int = 8192
    context: int = 1024
    dim: int = 256
    layers: int = 8
    heads: int = 8
    kv_heads: int = 2
    head_dim: int = 32
    # A multiple of 256, as the block formats (Q4_K, Q6_K) need it of every row that they store.
    ffn: int = 768
    rope_base: float = 10000.0
    eps: float = 1e-5


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).type_as(x)


def rope_table(config, length, device):
    """cos and sin of position * base^(-2i/d) for the pair i."""
    power = torch.arange(0, config.head_dim, 2, device=device, dtype=torch.float64) / config.head_dim
    angle = torch.outer(torch.arange(length, device=device, dtype=torch.float64), config.rope_base ** -power)
    return angle.cos().float(), angle.sin().float()


def rope(x, cos, sin):
    """Rotates the neighbours (2i, 2i+1): GGUF's convention for "llama", so that the export permutes nothing."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class Block(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        self.config = config
        self.dropout = dropout  # of training alone, on what a block adds to the residual stream
        q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.attn_norm = RMSNorm(config.dim, config.eps)
        self.attn_q = nn.Linear(config.dim, q, bias=False)
        self.attn_k = nn.Linear(config.dim, kv, bias=False)
        self.attn_v = nn.Linear(config.dim, kv, bias=False)
        self.attn_output = nn.Linear(q, config.dim, bias=False)
        self.ffn_norm = RMSNorm(config.dim, config.eps)
        self.ffn_gate = nn.Linear(config.dim, config.ffn, bias=False)
        self.ffn_up = nn.Linear(config.dim, config.ffn, bias=False)
        self.ffn_down = nn.Linear(config.ffn, config.dim, bias=False)

    def forward(self, x, cos, sin):
        c = self.config
        batch, length, _ = x.shape
        h = self.attn_norm(x)
        q = rope(self.attn_q(h).view(batch, length, c.heads, c.head_dim), cos, sin).transpose(1, 2)
        k = rope(self.attn_k(h).view(batch, length, c.kv_heads, c.head_dim), cos, sin).transpose(1, 2)
        v = self.attn_v(h).view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        # Query heads 4g … 4g+3 share the key and value head g.
        k, v = (t.repeat_interleave(c.heads // c.kv_heads, dim=1) for t in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(self.attn_output(out.transpose(1, 2).reshape(batch, length, -1)))
        h = self.ffn_norm(x)
        return x + self.drop(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)))

    def drop(self, x):
        return F.dropout(x, self.dropout, self.training)


class Llama(nn.Module):
    def __init__(self, config, dropout=0.0):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.dim)
        self.blk = nn.ModuleList(Block(config, dropout) for _ in range(config.layers))
        self.output_norm = RMSNorm(config.dim, config.eps)
        cos, sin = rope_table(config, config.context, "cpu")
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                # The two matrices that write into the residual stream start smaller.
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(weight, std=0.02 / ((2 * config.layers) ** 0.5 if last else 1))

    def hidden(self, tokens):
        x = self.token_embd(tokens)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def forward(self, tokens):
        """Logits; the output matrix is the embedding."""
        return F.linear(self.hidden(tokens), self.token_embd.weight)

    def loss(self, tokens, targets):
        logits = self(tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by a Newton-Schulz iteration (for matrices)."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def orthogonal(g):
        x = g.bfloat16()
        tall = x.size(-2) > x.size(-1)
        x = x.mT if tall else x
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            a = x @ x.mT
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            # Matrices of one shape go through the iteration together: one batch, few launches.
            shapes = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                momenta = []
                for p in params:
                    buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    buffer.lerp_(p.grad, 1 - group["momentum"])
                    momenta.append(p.grad.lerp(buffer, group["momentum"]))
                updates = self.orthogonal(torch.stack(momenta))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(params, updates):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * scale)
