import type { Builder, Value } from '../engine/ir.ts';
import type { ConfigReader } from './config-reader.ts';
import { float32, type GgufValue, uint32 } from './family.ts';

/** Rotary positions (Su et al., arXiv 2104.09864), and how they are stretched for contexts longer than the first training's. */
export type RopeScaling =
  /** All frequencies divided by `factor` (Chen et al., arXiv 2306.15595). */
  | { readonly kind: 'linear'; readonly factor: number }
  /** Stretched only beyond the positions that the model was made for, and no more of them are used here. */
  | { readonly kind: 'dynamic'; readonly factor: number }
  /** Llama 3.1: low frequencies divided, high ones kept, those between mixed. */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalContext: number;
    }
  /** YaRN (Peng et al., arXiv 2309.00071), with what q and k are multiplied by. */
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
      readonly attentionFactor: number;
      readonly originalContext: number;
    };

export interface Rope {
  /** Base of the angles. */
  readonly ropeTheta: number;
  readonly ropeScaling?: RopeScaling;
}

/** Where pairs begin and stop turning, in turns over the original context. */
const [BETA_FAST, BETA_SLOW] = [32, 1];
const yarnMagnitude = (factor: number, by = 1): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);

/** Angle a position for each pair of a head, and what cos and sin are multiplied by. */
export function ropeFrequencies({ ropeTheta: theta, ropeScaling: scaling }: Rope, headWidth: number) {
  const plain = Float64Array.from({ length: headWidth / 2 }, (_, i) => theta ** ((-2 * i) / headWidth));
  switch (scaling?.kind) {
    case undefined:
    case 'dynamic':
      return { frequencies: plain, magnitude: 1 };
    case 'linear':
      return { frequencies: plain.map((f) => f / scaling.factor), magnitude: 1 };
    case 'llama3': {
      const { factor, lowFactor, highFactor, originalContext } = scaling;
      const stretched = (f: number): number => {
        const turns = (originalContext * f) / (2 * Math.PI);
        if (turns > highFactor) return f;
        if (turns < lowFactor) return f / factor;
        const kept = (turns - lowFactor) / (highFactor - lowFactor);
        return ((1 - kept) * f) / factor + kept * f;
      };
      return { frequencies: plain.map(stretched), magnitude: 1 };
    }
    case 'yarn': {
      const { factor, betaFast, betaSlow, truncate, attentionFactor, originalContext } = scaling;
      const pairAt = (turns: number): number =>
        (headWidth * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [first, last] = truncate
        ? [Math.floor(pairAt(betaFast)), Math.ceil(pairAt(betaSlow))]
        : [pairAt(betaFast), pairAt(betaSlow)];
      const [from, end] = [Math.max(first, 0), Math.min(last, headWidth - 1)];
      const to = end === from ? end + 0.001 : end;
      const divided = (i: number): number => Math.min(1, Math.max(0, (i - from) / (to - from)));
      const mixed = plain.map((f, i) => (f / factor) * divided(i) + f * (1 - divided(i)));
      return { frequencies: mixed, magnitude: attentionFactor };
    }
  }
}

/** cos and sin of position · frequency, [positions, 1, head width / 2] each. */
export function rotaryTables(
  g: Builder,
  rope: Rope,
  headWidth: number,
  positions: number,
  atPositions: (table: Value) => Value,
): readonly [cos: Value, sin: Value] {
  const half = headWidth / 2;
  const { frequencies, magnitude } = ropeFrequencies(rope, headWidth);
  const table = (f: (angle: number) => number): Value => {
    const data = Float32Array.from(
      { length: positions * half },
      (_, i) => magnitude * f(Math.floor(i / half) * frequencies[i % half]!),
    );
    const rows = atPositions(g.constant(data, [positions, half]));
    return g.one('Reshape', [rows], { shape: [rows.shape[0]!, 1, half] });
  };
  return [table(Math.cos), table(Math.sin)];
}

/** `rope_theta` and `rope_scaling`, or, since transformers 5, both of them in `rope_parameters`. */
export function readRope(config: ConfigReader, positions: number): Rope {
  const outer = config.number('rope_theta', 10_000);
  config.expect('partial_rotary_factor', [null, 1]);
  const original = config.sizeOr('original_max_position_embeddings', undefined);
  const key = ['rope_scaling', 'rope_parameters'].find((name) => (config.value(name) ?? null) !== null);
  if (key === undefined) return { ropeTheta: positive(config, 'rope_theta', outer) };
  const rope = config.inside(key);
  const ropeTheta = positive(rope, 'rope_theta', rope.number('rope_theta', outer));
  rope.expect('partial_rotary_factor', [null, 1]);
  // `type` is the older name; where both are there, `rope_type` counts.
  const named = ['rope_type', 'type'].find((name) => rope.value(name) !== undefined);
  const kind = named === undefined ? 'default' : rope.text(named, ['default', ...KINDS]);
  const scaling = kind === 'default' ? undefined : readScaling(rope, kind as RopeScaling['kind'], positions, original);
  rope.rest(kind === 'default' || kind === 'linear' || kind === 'dynamic' ? ['original_max_position_embeddings'] : []);
  return { ropeTheta, ...(scaling === undefined ? {} : { ropeScaling: scaling }) };
}

const KINDS: readonly RopeScaling['kind'][] = ['linear', 'dynamic', 'llama3', 'yarn'];

function positive(config: ConfigReader, key: string, value: number): number {
  if (value > 0) return value;
  throw config.wrong(key, 'a number above 0');
}

function readScaling(
  rope: ConfigReader,
  kind: RopeScaling['kind'],
  positions: number,
  original: number | undefined,
): RopeScaling {
  const required = (key: string): number => positive(rope, key, rope.number(key, Number.NaN));
  const optional = (key: string, otherwise: number): number => positive(rope, key, rope.number(key, otherwise));
  const inside = rope.sizeOr('original_max_position_embeddings', positions);
  const originalContext = original ?? inside;
  if (kind === 'linear' || kind === 'dynamic') return { kind, factor: required('factor') };
  if (kind === 'llama3') {
    const [lowFactor, highFactor] = [required('low_freq_factor'), required('high_freq_factor')];
    if (highFactor <= lowFactor) throw rope.wrong('high_freq_factor', `a number above low_freq_factor ${lowFactor}`);
    return { kind, factor: required('factor'), lowFactor, highFactor, originalContext };
  }
  const factor = (rope.value('factor') ?? null) === null ? positions / originalContext : required('factor');
  const [mscale, mscaleAll] = [rope.number('mscale', 0), rope.number('mscale_all_dim', 0)];
  const magnitude =
    mscale !== 0 && mscaleAll !== 0
      ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAll)
      : yarnMagnitude(factor);
  return {
    kind,
    factor,
    betaFast: optional('beta_fast', BETA_FAST),
    betaSlow: optional('beta_slow', BETA_SLOW),
    truncate: rope.flag('truncate', true),
    attentionFactor: optional('attention_factor', magnitude),
    originalContext,
  };
}

/** As every version of transformers reads it. */
export function ropeHuggingFaceConfig({ ropeTheta, ropeScaling: s }: Rope): Readonly<Record<string, unknown>> {
  return { rope_theta: ropeTheta, rope_scaling: s === undefined ? null : scalingConfig(s) };
}

function scalingConfig(s: RopeScaling): Readonly<Record<string, unknown>> {
  const common = { rope_type: s.kind, factor: s.factor };
  switch (s.kind) {
    case 'linear':
    case 'dynamic':
      return common;
    case 'llama3':
      return {
        ...common,
        low_freq_factor: s.lowFactor,
        high_freq_factor: s.highFactor,
        original_max_position_embeddings: s.originalContext,
      };
    case 'yarn':
      return {
        ...common,
        beta_fast: s.betaFast,
        beta_slow: s.betaSlow,
        truncate: s.truncate,
        attention_factor: s.attentionFactor,
        original_max_position_embeddings: s.originalContext,
      };
  }
}

/** What llama.cpp says of it; undefined for what it has no words for. */
export function ropeGguf(
  rope: Rope,
  headWidth: number,
): { readonly metadata: readonly (readonly [string, GgufValue])[]; readonly factors?: Float32Array } | undefined {
  const { ropeTheta, ropeScaling: s } = rope;
  const plain = [
    ['rope.dimension_count', uint32(headWidth)],
    ['rope.freq_base', float32(ropeTheta)],
  ] as const;
  const scaled = (type: string, factor: number) =>
    [
      ...plain,
      ['rope.scaling.type', { kind: 'string', value: type }],
      ['rope.scaling.factor', float32(factor)],
    ] as const;
  switch (s?.kind) {
    case undefined:
    case 'dynamic':
      return { metadata: plain };
    case 'linear':
      return { metadata: scaled('linear', s.factor) };
    case 'llama3': {
      // llama.cpp divides each pair's frequency by a number of its own.
      const { frequencies } = ropeFrequencies(rope, headWidth);
      const before = ropeFrequencies({ ropeTheta }, headWidth).frequencies;
      return { metadata: plain, factors: Float32Array.from(frequencies, (f, i) => before[i]! / f) };
    }
    case 'yarn': {
      const usual =
        s.betaFast === BETA_FAST &&
        s.betaSlow === BETA_SLOW &&
        s.truncate &&
        Math.abs(s.attentionFactor - yarnMagnitude(s.factor)) < 1e-6;
      if (!usual) return undefined;
      const original = ['rope.scaling.original_context_length', uint32(s.originalContext)] as const;
      return { metadata: [...scaled('yarn', s.factor), original] };
    }
  }
}
