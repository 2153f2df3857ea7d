"""Trains all runs of `bench scale` with PyTorch on a GPU: many small models at once, in the same kernels.

Arguments: the folder that `npm run bench scale` prepared, and for how many seconds new jobs may be begun (all when left out).
Appends a line {key, validation, test, device} for each run to results.jsonl there; what it has there, it does not do again.

It is a second writing of what src/ml, src/outer and bench/quality do, for machines on which 10⁹ tokens take minutes: the Llama
of src/ml/models/llama.ts, the Muon and AdamW of src/ml/training/optimizer.ts, the merge of src/outer/merge.ts and the codecs
of docs/protocol.md. Parameters of R models are one array [R, P]; those of a kind are worked on together, [R, n, rows, columns].
"""
import json
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = True
WARM_UP, FINAL_SHARE, DECAY, BETAS = 20, 0.05, 0.1, (0.9, 0.95)
NEWTON_SCHULZ_STEPS, ADAM_SHARE = 3, 0.8


class Layout:
    """Where each kind of parameter lies in [R, P]."""

    def __init__(self, layers, width, heads, context, vocabulary, hidden, **_):
        self.layers, self.width, self.heads, self.context, self.vocabulary = layers, width, heads, context, vocabulary
        shapes = {
            "embedding": (vocabulary, width),
            "norm": (2 * layers + 1, width),
            "attention": (4 * layers, width, width),
            "gated": (2 * layers, hidden, width),
            "down": (layers, width, hidden),
        }
        self.places, self.elements = {}, 0
        for name, shape in shapes.items():
            self.places[name] = (self.elements, self.elements + math.prod(shape), shape)
            self.elements += math.prod(shape)
        self.packed = torch.cat(list(self.in_models_order())).to(DEVICE)
        self.unpacked = torch.argsort(self.packed)
        # Embedding and norms are AdamW's; norms do not decay.
        self.adam_elements = self.places["norm"][1]
        angles = torch.arange(context)[:, None].double() * 1e4 ** -(torch.arange(width // heads // 2).double() * 2 * heads / width)
        self.cos, self.sin = (table.float().to(DEVICE)[:, None, :] for table in (angles.cos(), angles.sin()))

    def in_models_order(self):
        """Places of the tensors one after the other, as a payload has them: a codec's blocks are cut from that."""

        def tensor(kind, i):
            begin, _, shape = self.places[kind]
            size = math.prod(shape[1:])
            return torch.arange(begin + i * size, begin + (i + 1) * size)

        yield torch.arange(*self.places["embedding"][:2])
        for layer in range(self.layers):
            yield tensor("norm", 2 * layer)
            yield from (tensor("attention", 4 * layer + i) for i in range(4))
            yield tensor("norm", 2 * layer + 1)
            yield from (tensor("gated", 2 * layer + i) for i in range(2))
            yield tensor("down", layer)
        yield tensor("norm", 2 * self.layers)

    def views(self, flat):
        return {name: flat[:, a:b].view(-1, *shape) for name, (a, b, shape) in self.places.items()}


class Rows(torch.autograd.Function):
    """Rows of a table; the gradient is added up without sorting, as a graph of kernels can have it."""

    @staticmethod
    def forward(ctx, table, index):
        ctx.save_for_backward(index)
        ctx.count = table.shape[0]
        return table.index_select(0, index)

    @staticmethod
    def backward(ctx, gradient):
        (index,) = ctx.saved_tensors
        table = torch.zeros(ctx.count, gradient.shape[1], device=gradient.device)
        return table.index_add_(0, index, gradient.contiguous()), None


def attend(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.full((q.shape[-2],) * 2, float("-inf"), device=q.device).triu(1)
    return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask, -1) @ v


def losses(layout, p, windows):
    """windows: tokens [R, B, T + 1]. Returns the cross-entropy of each, [R, B · T]."""
    x, y = windows[..., :-1], windows[..., 1:]
    R, B, T = x.shape
    W, heads = layout.width, layout.heads
    dense = lambda h, w: torch.bmm(h, w.transpose(1, 2))

    def norm(h, i):
        return h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5) * p["norm"][:, i, None]

    def rotate(q):
        a, b = q.chunk(2, -1)
        return torch.cat((a * layout.cos - b * layout.sin, b * layout.cos + a * layout.sin), -1)

    def by_head(h):
        return h.view(R, B, T, heads, W // heads)

    def heads_first(q):
        return q.transpose(2, 3).reshape(R * B, heads, T, W // heads)

    index = x + torch.arange(R, device=x.device)[:, None, None] * layout.vocabulary
    h = Rows.apply(p["embedding"].reshape(-1, W), index.reshape(-1)).view(R, B * T, W)
    for layer in range(layout.layers):
        n = norm(h, 2 * layer)
        q, k, v = (by_head(dense(n, p["attention"][:, 4 * layer + i])) for i in range(3))
        o = attend(heads_first(rotate(q)), heads_first(rotate(k)), heads_first(v))
        o = o.view(R, B, heads, T, -1).transpose(2, 3).reshape(R, B * T, W)
        h = h + dense(o, p["attention"][:, 4 * layer + 3])
        n = norm(h, 2 * layer + 1)
        gate, up = (dense(n, p["gated"][:, 2 * layer + i]) for i in range(2))
        h = h + dense(F.silu(gate) * up, p["down"][:, layer])
    logits = dense(norm(h, 2 * layout.layers), p["embedding"])
    return F.cross_entropy(logits.reshape(-1, layout.vocabulary), y.reshape(-1), reduction="none").view(R, -1)


def orthogonal(x):
    """Newton–Schulz on [R, n, rows, columns] (Jordan et al. 2024), scaled by √max(1, rows / columns)."""
    shape = x.shape
    rows, columns = shape[-2:]
    x = (x / (x.flatten(-2).norm(dim=-1)[..., None, None] + 1e-7)).view(-1, rows, columns)
    identity = torch.eye(min(rows, columns), device=x.device)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = torch.bmm(x, x.transpose(1, 2)) if rows <= columns else torch.bmm(x.transpose(1, 2), x)
        polynomial = 3.4445 * identity - 4.775 * gram + 2.0315 * torch.bmm(gram, gram)
        x = torch.bmm(polynomial, x) if rows <= columns else torch.bmm(x, polynomial)
    return x.view(shape) * math.sqrt(max(1, rows / columns))


def coded(x, codec):
    """What a reader of `codec` gets of x, [..., P] (docs/protocol.md; blocks of 256, groups of 4,096 for top-k)."""
    if codec == "f32":
        return x
    P = x.shape[-1]
    blocks = lambda x, size: F.pad(x, (0, -P % size)).unflatten(-1, (-1, size))
    if codec.startswith("top-1/"):
        groups = blocks(x, 4096)
        share, _, rest = codec[len("top-1/"):].partition("+")
        _, places = groups.abs().topk(4096 // int(share), dim=-1)
        kept = torch.gather(groups, -1, places)
        kept = coded(kept.flatten(-2), rest).view(kept.shape)
        return torch.zeros_like(groups).scatter_(-1, places, kept).flatten(-2)[..., :P]
    b = blocks(x, 256)
    if codec == "int4":
        scale = b.abs().amax(-1, keepdim=True) / 7
        return (torch.round(b / scale.clamp_min(1e-30)) * scale).flatten(-2)[..., :P]
    if codec == "int2":
        count = torch.full((b.shape[-2], 1), 256.0, device=x.device)
        count[-1] -= -P % 256
        s = 5 / 8 * b.abs().sum(-1, keepdim=True) / count
        outer, inner = 3 * s * torch.sign(b), torch.where(b < 0, -s, s)
        return torch.where(b.abs() >= 2 * s, outer, inner).flatten(-2)[..., :P]
    raise SystemExit(f"bench scale does not know the codec {codec}.")


class Islands:
    """The coordinator's side of G runs of M islands: rounds, error feedback both ways, Nesterov outside."""

    def __init__(self, layout, theta, runs, M):
        self.layout = layout
        self.runs, self.M, self.theta = runs, M, theta.view(len(runs), M, -1)
        self.merged = self.theta[:, 0].clone()
        self.known, self.velocity = self.merged.clone(), torch.zeros_like(self.merged)
        self.residual = torch.zeros_like(self.theta)
        self.at = [0] * len(runs)
        column = lambda name: torch.tensor([run["outer"][name] for run in runs], device=DEVICE)[:, None]
        self.rate, self.momentum = column("rate"), column("momentum")

    def after(self, step, last):
        due = [g for g, run in enumerate(self.runs) if step - self.at[g] >= run["outer"]["innerSteps"] or last]
        for codec in {self.runs[g]["outer"]["codec"] for g in due}:
            self.merge([g for g in due if self.runs[g]["outer"]["codec"] == codec], codec)
        for g in due:
            self.at[g] = step

    def merge(self, groups, codec):
        g = torch.tensor(groups, device=DEVICE)
        difference = self.known[g, None] - self.theta[g] + self.residual[g]
        sent = self.sent(difference, codec)
        self.residual[g] = difference - sent
        delta = sent.mean(1)
        velocity = self.momentum[g] * self.velocity[g] + delta
        self.velocity[g] = velocity
        merged = self.merged[g] - self.rate[g] * (delta + self.momentum[g] * velocity)
        self.merged[g] = merged
        # What was not sent down stays in the difference to what islands know, and goes with the next.
        known = self.known[g] + self.sent(merged - self.known[g], codec)
        self.known[g] = known
        self.theta[g] = known[:, None].expand(-1, self.M, -1)


    def sent(self, difference, codec):
        return coded(difference[..., self.layout.packed], codec)[..., self.layout.unpacked]


class Trainer:
    """R models that take their steps together, captured once as a graph of kernels."""

    def __init__(self, layout, theta, windows_of, runs, steps):
        self.layout, self.theta, self.windows_of = layout, theta, windows_of
        column = lambda name: torch.tensor([run[name] for run in runs], device=DEVICE)[:, None]
        self.rate, self.momentum = column("rate"), column("momentum")
        step = torch.arange(1, steps + 1, device=DEVICE)
        progress = ((step - WARM_UP) / (steps - WARM_UP)).clamp(0, 1)
        cosine = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + torch.cos(math.pi * progress))
        self.schedule = torch.where(step <= WARM_UP, step / WARM_UP, cosine)
        self.mean = torch.zeros_like(theta)
        self.square = torch.zeros(theta.shape[0], layout.adam_elements, device=DEVICE)
        self.step = torch.zeros(1, dtype=torch.long, device=DEVICE)
        self.run = self.captured() if DEVICE == "cuda" else self.train

    def train(self):
        views = self.layout.views(self.theta)
        p = {name: view.detach().requires_grad_() for name, view in views.items()}
        loss = losses(self.layout, p, self.windows_of(self.step)).mean(1).sum()
        gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
        with torch.no_grad():
            self.update({name: g.flatten(1) for name, g in gradients.items()})
            self.step += 1

    def update(self, gradients):
        norm = sum(g.pow(2).sum(1, keepdim=True) for g in gradients.values()).sqrt()
        gradients = {name: g / norm.clamp_min(1) for name, g in gradients.items()}
        factor = self.schedule.index_select(0, self.step)
        age, end = self.step + 1, self.layout.adam_elements
        fresh = torch.cat((gradients["embedding"], gradients["norm"]), 1)
        mean = self.mean[:, :end].mul_(BETAS[0]).add_(fresh, alpha=1 - BETAS[0])
        square = self.square.mul_(BETAS[1]).add_(fresh * fresh, alpha=1 - BETAS[1])
        rate = factor * ADAM_SHARE * self.rate
        direction = mean / (1 - BETAS[0]**age) / ((square / (1 - BETAS[1]**age)).sqrt() + 1e-8)
        self.theta[:, :self.layout.places["embedding"][1]].mul_(1 - rate * DECAY)
        self.theta[:, :end].sub_(rate * direction)
        rate = factor * self.rate
        for name in ("attention", "gated", "down"):
            begin, end, shape = self.layout.places[name]
            buffer = self.mean[:, begin:end].mul_(self.momentum).add_(gradients[name])
            ahead = gradients[name] + self.momentum * buffer
            direction = orthogonal(ahead.view(-1, *shape)).flatten(1)
            self.theta[:, begin:end].mul_(1 - rate * DECAY).sub_(rate * direction)

    def captured(self):
        kept = [x.clone() for x in (self.theta, self.mean, self.square, self.step)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self.train()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.train()
        for x, old in zip((self.theta, self.mean, self.square, self.step), kept):
            x.copy_(old)
        return self.graph.replay


def read(folder, name, dtype):
    return np.fromfile(os.path.join(folder, name), dtype=dtype)


def windows_of_job(folder, job, layout):
    """The tokens of all islands' texts, and a function from the step to the windows [R, B, T + 1] of all models."""
    model, islands, steps, batch = job["model"], job["islands"], job["steps"], job["batch"]
    texts = [read(folder, f"{model}-{islands}-{m}.u16", np.uint16) for m in range(islands)]
    begin = np.cumsum([0] + [len(text) for text in texts])

    def of_seed(seed):  # [steps, islands, batch]
        each = [read(folder, f"{model}-{islands}-{m}-{seed}.u32", np.uint32)[:steps * batch] for m in range(islands)]
        return np.stack([(begin[m] + x).reshape(steps, batch) for m, x in enumerate(each)], 1).astype(np.int32)

    seeds = {run["seed"]: of_seed(run["seed"]) for run in job["runs"]}
    starts = np.concatenate([seeds[run["seed"]] for run in job["runs"]], 1)
    if job["together"]:
        starts = starts.reshape(steps, len(job["runs"]), islands * batch)
    starts = torch.tensor(starts, device=DEVICE)
    tokens = torch.tensor(np.concatenate(texts).astype(np.int64), device=DEVICE)
    window = torch.arange(layout.context + 1, device=DEVICE)
    return lambda step: tokens[starts.index_select(0, step)[0, ..., None] + window]


@torch.no_grad()
def evaluate(folder, job, layout, theta, half):
    windows = read(folder, f"{job['model']}-{half}.u16", np.uint16).astype(np.int64).reshape(-1, layout.context + 1)
    windows = torch.tensor(windows, device=DEVICE)
    total = []
    for models in theta.split(16):
        p = layout.views(models.contiguous())
        parts = [losses(layout, p, part.expand(len(models), -1, -1)).sum(1) for part in windows.split(64)]
        total += (sum(parts) / (windows.shape[0] * layout.context)).tolist()
    return total


def train(folder, layout, job):
    """Yields each run with its losses."""
    runs, M = job["runs"], 1 if job["together"] else job["islands"]
    initial = {run["seed"]: torch.tensor(read(folder, f"{job['model']}-{run['seed']}.f32", np.float32)) for run in runs}
    each = [run for run in runs for _ in range(M)]
    theta = torch.stack([initial[run["seed"]] for run in each]).to(DEVICE)
    trainer = Trainer(layout, theta, windows_of_job(folder, job, layout), each, job["steps"])
    islands = None if job["together"] else Islands(layout, theta, runs, M)
    for step in range(1, job["steps"] + 1):
        trainer.run()
        if islands is not None:
            with torch.no_grad():
                islands.after(step, step == job["steps"])
    merged = theta if islands is None else islands.known
    return zip(runs, *(evaluate(folder, job, layout, merged, half) for half in ("validation", "test")))


def finished(path):
    """Keys of the runs that are there. A line that was cut off by the end of its process is done again."""
    if not os.path.exists(path):
        return set()
    with open(path) as file:
        lines = file.read().split("\n")
    if lines[-1] != "":
        with open(path, "a") as file:
            file.write("\n")
    return {json.loads(line)["key"] for line in lines if line.endswith("}")}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else math.inf
    if not os.path.exists(os.path.join(folder, "plan.json")):
        sys.exit(f"There is no plan.json in {folder}. `npm run bench scale` prepares a folder; name it as the first argument.")
    with open(os.path.join(folder, "plan.json")) as file:
        plan = json.load(file)
    path, began = os.path.join(folder, "results.jsonl"), time.time()
    done = finished(path)
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "a processor"
    print(f"On {device}.", file=sys.stderr, flush=True)
    for job in plan["jobs"]:
        job["runs"] = [run for run in job["runs"] if run["key"] not in done]
        if not job["runs"] or time.time() - began > limit:
            continue
        layout, start = Layout(**plan["sizes"][job["model"]]), time.time()
        lines = [json.dumps({"key": run["key"], "validation": v, "test": t, "device": device})
                 for run, v, t in train(folder, layout, job)]
        with open(path, "a") as file:
            file.write("".join(line + "\n" for line in lines))
        what = "data-parallel" if job["together"] else f"{job['islands']} islands"
        print(f"{job['model']}, {job['steps']} steps of {job['batch']} sequences, {what}: "
              f"{len(lines)} {'run' if len(lines) == 1 else 'runs'} in {time.time() - start:.0f} s", file=sys.stderr, flush=True)


main()
