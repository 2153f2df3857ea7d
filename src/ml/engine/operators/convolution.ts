import { type Builder, ints, type Operator, type Value } from '../ir.ts';
import { misfit, show } from '../shape.ts';

/**
 * Convolution with stride 1 and as much zero padding as keeps the image's size:
 * (x [N, C, H, W], kernel [O, C, k, k], k odd) → [N, O, H, W].
 */
const Conv: Operator = {
  infer([x, kernel]) {
    const [batch, channels, height, width] = x!.shape as readonly [number, number, number, number];
    const [outputs, inputs, rows, columns] = kernel!.shape as readonly [number, number, number, number];
    if (channels !== inputs || rows !== columns || rows % 2 === 0)
      throw misfit('Conv', `a kernel ${show(kernel!.shape)} does not fit an image ${show(x!.shape)}`);
    return [{ dtype: x!.dtype, shape: [batch, outputs, height, width] }];
  },
  emit({ inputs: [, kernel] }) {
    const size = kernel!.shape[2]!;
    const pad = (size - 1) / 2;
    return { opType: 'Conv', attributes: { kernel_shape: ints([size, size]), pads: ints([pad, pad, pad, pad]) } };
  },
  gradient(g, node, [dy]) {
    if (dy === undefined) return [];
    const [x, kernel] = node.inputs;
    return [g.one('Conv', [dy, turned(g, kernel!)]), kernelGradient(g, x!, kernel!, dy)];
  },
};

/** [O, C, k, k] → [C, O, k, k], turned by half a circle: the convolution that carries gradients back to the image. */
function turned(g: Builder, kernel: Value): Value {
  const [outputs, channels, size] = kernel.shape as readonly [number, number, number, number];
  const sites = size * size;
  const flat = g.one('Reshape', [kernel], { shape: [outputs, channels, sites] });
  const bySite = g.one('Transpose', [flat], { permutation: [2, 1, 0] });
  const backwards = BigInt64Array.from({ length: sites }, (_, i) => BigInt(sites - 1 - i));
  const reversed = g.one('Gather', [bySite, g.constant(backwards, [sites])]);
  return g.one('Reshape', [g.one('Transpose', [reversed], { permutation: [1, 2, 0] })], {
    shape: [channels, outputs, size, size],
  });
}

/** Σ over images of dy [O, HW] · patches [HW, C·k·k]: the patches are k² shifted copies of the padded image. */
function kernelGradient(g: Builder, x: Value, kernel: Value, dy: Value): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const [outputs, , size] = kernel.shape as readonly [number, number, number, number];
  const pad = (size - 1) / 2;
  const padded = g.one('Pad', [x], { begin: [0, 0, pad, pad], end: [0, 0, pad, pad] });
  const shifted = Array.from({ length: size * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    const part = { axes: [2, 3], starts: [row, column], ends: [row + height, column + width] };
    return g.one('Reshape', [g.one('Slice', [padded], part)], { shape: [batch, channels, height * width] });
  });
  const patches = g.one('Concat', shifted, { axis: 1 });
  const flat = g.one('Reshape', [dy], { shape: [batch, outputs, height * width] });
  const each = g.one('MatMul', [flat, patches], { transB: 1 });
  const sum = g.one('ReduceSum', [each], { axes: [0], keepDims: 0 });
  const bySite = g.one('Reshape', [sum], { shape: [outputs, size * size, channels] });
  const byChannel = g.one('Transpose', [bySite], { permutation: [0, 2, 1] });
  return g.one('Reshape', [byChannel], { shape: kernel.shape });
}

export const convolution: Readonly<Record<string, Operator>> = { Conv };
