"""The other side of `npm run bench engine`: the same model, optimizer and clipping in PyTorch, written as one would.

Arguments: a JSON object {model, batch, threads, optimizer} as bench/engine-models.ts has it, then "eager" or "compile".
Reads "go STEPS" lines on stdin, trains, and answers each with tokens (or examples) per second and peak memory.
"""
import json
import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

work, mode = json.loads(sys.argv[1]), sys.argv[2]
m, B = work["model"], work["batch"]
torch.set_num_threads(work["threads"])
torch.manual_seed(1)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.full((q.shape[2], q.shape[2]), float("-inf")).triu(1)
    return torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[3]) + mask, -1) @ v


class GptBlock(nn.Module):
    def __init__(self, C, H):
        super().__init__()
        self.H = H
        self.ln_1, self.ln_2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.c_attn, self.c_proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.c_fc, self.mlp_proj = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def forward(self, x):
        b, s, c = x.shape
        q, k, v = (t.view(b, s, self.H, c // self.H).transpose(1, 2) for t in self.c_attn(self.ln_1(x)).split(c, dim=2))
        x = x + self.c_proj(attention(q, k, v).transpose(1, 2).reshape(b, s, c))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        C = m["width"]
        self.wte, self.wpe = nn.Embedding(m["vocabularySize"], C), nn.Embedding(m["contextLength"], C)
        self.blocks = nn.ModuleList(GptBlock(C, m["heads"]) for _ in range(m["layers"]))
        self.ln_f = nn.LayerNorm(C)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe.weight
        for block in self.blocks:
            x = block(x)
        logits = self.ln_f(x) @ self.wte.weight.T
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class RMSNorm(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(C))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, (x.shape[-1],), self.weight, m["normEpsilon"])
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m["normEpsilon"]) * self.weight


class LlamaBlock(nn.Module):
    def __init__(self, C, H, K, hidden):
        super().__init__()
        self.H, self.K, self.w = H, K, C // H
        linear = lambda a, b: nn.Linear(a, b, bias=False)
        self.n1, self.n2 = RMSNorm(C), RMSNorm(C)
        self.q, self.k, self.v, self.o = linear(C, C), linear(C, K * self.w), linear(C, K * self.w), linear(C, C)
        self.gate, self.up, self.down = linear(C, hidden), linear(C, hidden), linear(hidden, C)

    def forward(self, x, cos, sin):
        b, s, c = x.shape

        def turn(t):
            half = t.shape[-1] // 2
            a, d = t[..., :half], t[..., half:]
            return torch.cat([a * cos - d * sin, d * cos + a * sin], -1)

        h = self.n1(x)
        q = turn(self.q(h).view(b, s, self.H, self.w).transpose(1, 2))
        k = turn(self.k(h).view(b, s, self.K, self.w).transpose(1, 2)).repeat_interleave(self.H // self.K, 1)
        v = self.v(h).view(b, s, self.K, self.w).transpose(1, 2).repeat_interleave(self.H // self.K, 1)
        x = x + self.o(attention(q, k, v).transpose(1, 2).reshape(b, s, c))
        h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        C, H = m["width"], m["heads"]
        self.embed = nn.Embedding(m["vocabularySize"], C)
        self.blocks = nn.ModuleList(LlamaBlock(C, H, m["keyValueHeads"], m["hiddenWidth"]) for _ in range(m["layers"]))
        self.norm = RMSNorm(C)
        half = C // H // 2
        angle = torch.arange(m["contextLength"])[:, None] * m["ropeTheta"] ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embed.weight.T
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [m["inputs"], *m["hidden"], m["outputs"]]
        layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x, labels):
        return F.cross_entropy(self.net(x), labels)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [m["channels"], *m["stages"]]
        self.conv = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in zip(sizes, m["stages"]))
        self.norm = nn.ModuleList(nn.GroupNorm(max(1, b // 8), b) for b in m["stages"])
        self.head = nn.Linear(m["stages"][-1], m["outputs"])

    def forward(self, x, labels):
        for conv, norm in zip(self.conv, self.norm):
            x = F.max_pool2d(F.relu(norm(conv(x))), 2)
        return F.cross_entropy(self.head(x.mean((2, 3))), labels)


language = m["architecture"] in ("gpt2", "llama")
model = {"gpt2": Gpt, "llama": Llama, "mlp": Mlp, "cnn": Cnn}[m["architecture"]]()
decay = [p for p in model.parameters() if p.dim() >= 2]
plain = [p for p in model.parameters() if p.dim() == 1]
groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
options = {"fused": True} if torch.__version__ >= "2.4" else {}
optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=1e-3, betas=(0.9, 0.95), **options)
if language:
    shape = (B, m["contextLength"])
    inputs, targets = torch.randint(m["vocabularySize"], shape), torch.randint(m["vocabularySize"], shape)
elif m["architecture"] == "mlp":
    inputs, targets = torch.randn(B, m["inputs"]), torch.randint(m["outputs"], (B,))
else:
    inputs, targets = torch.randn(B, m["channels"], m["height"], m["width"]), torch.randint(m["outputs"], (B,))
forward = torch.compile(model) if mode == "compile" else model


def step():
    optimizer.zero_grad(set_to_none=True)
    loss = forward(inputs, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


step()
print(json.dumps({"version": torch.__version__, "parameters": sum(p.numel() for p in model.parameters())}), flush=True)
for line in sys.stdin:
    steps = int(line.split()[1])
    start = time.perf_counter()
    for _ in range(steps):
        loss = step()
    loss.item()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"perS": steps * targets.numel() / seconds, "peakMemoryBytes": peak}), flush=True)
