import type { ParameterArrays } from '../tensor/parameters.ts';
import type { MlpConfig } from './mlp.ts';

/**
 * A regression is trained on targets around zero. Its last layer, multiplied by their deviation and moved by their mean, predicts in their own
 * units: y = d · (W h + b) + m = (d W) h + (d b + m).
 */
export function inOwnUnits(
  { hidden, outputs }: MlpConfig,
  parameters: ParameterArrays,
  { mean, deviation }: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
): ParameterArrays {
  const last = 2 * hidden.length;
  const width = hidden.at(-1)!;
  const weight = parameters.get(`${last}.weight`)!.map((w, i) => w * deviation[Math.floor(i / width)]!);
  const bias = parameters.get(`${last}.bias`)!.map((b, i) => b * deviation[i % outputs]! + mean[i % outputs]!);
  return new Map([...parameters, [`${last}.weight`, weight], [`${last}.bias`, bias]]);
}
