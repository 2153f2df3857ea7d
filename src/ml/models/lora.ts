import type { Builder, Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';

/**
 * Low-rank adapters (Hu et al., arXiv 2106.09685) in the names and layout of PEFT: a frozen x · W gets
 * (alpha / rank) · (x · Aᵀ) · Bᵀ added, with A [rank, in] and B [out, rank] trained.
 */
export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Last parts of the names of the layers that get an adapter, as in PEFT: `c_attn`, `q_proj` … */
  readonly targets: readonly string[];
}

export const loraTargets = ({ targets }: LoraConfig, layer: string): boolean =>
  targets.includes(layer.slice(layer.lastIndexOf('.') + 1));

/** The base's parameters, frozen, and the adapters' after them. */
export function withLora(base: readonly ParameterSpec[], lora: LoraConfig): readonly ParameterSpec[] {
  const adapters = base.flatMap((spec): readonly ParameterSpec[] => {
    const layer = spec.name.replace(/\.weight$/, '');
    if (spec.role !== 'matrix' || !loraTargets(lora, layer)) return [];
    const [inputs, outputs] = spec.layout === 'out-in' ? spec.shape.toReversed() : spec.shape;
    // A as PEFT begins it (Kaiming uniform with a = √5 has this deviation), B zero: at first nothing is added.
    const start = { normal: Math.sqrt(1 / (3 * inputs!)) };
    return [
      { name: loraName(layer, 'A'), shape: [lora.rank, inputs!], initial: start, role: 'matrix', layout: 'out-in' },
      { name: loraName(layer, 'B'), shape: [outputs!, lora.rank], initial: 'zeros', role: 'matrix', layout: 'out-in' },
    ];
  });
  return [...base.map((spec) => ({ ...spec, frozen: true })), ...adapters];
}

export const loraName = (layer: string, part: 'A' | 'B'): string => `${layer}.lora_${part}.weight`;

export function loraDelta(
  g: Builder,
  lora: LoraConfig,
  x: Value,
  layer: string,
  parameter: (name: string) => Value,
): Value {
  const inner = g.one('Gemm', [x, parameter(loraName(layer, 'A'))], { transB: 1 });
  return g.one('Gemm', [inner, parameter(loraName(layer, 'B'))], { transB: 1, alpha: lora.alpha / lora.rank });
}
