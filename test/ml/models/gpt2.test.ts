import { describe, expect, it } from 'vitest';
import { intTensor } from '../../../src/ml/engine/session.ts';
import { checkGpt2, gpt2Parameters } from '../../../src/ml/models/gpt2.ts';
import { countParameters } from '../../../src/ml/tensor/parameters.ts';
import {
  compute,
  disagreeing,
  ids,
  reference,
  referenceModel,
  referenceParameters,
  relativeError,
  unpackFloats,
} from './reference.ts';

describe('GPT-2 against PyTorch', () => {
  it('computes the same logits, the same loss and the same gradient of every parameter', async () => {
    const tokens = intTensor(ids(reference.tokens), [reference.batch, referenceModel.contextLength]);
    const { logits, loss, gradient } = await compute(referenceModel, referenceParameters(), tokens, reference.targets);
    expect(relativeError(logits, unpackFloats(reference.logits))).toBeLessThan(1e-5);
    expect(loss).toBeCloseTo(reference.loss, 5);
    expect(Object.keys(reference.gradients)).toHaveLength(gpt2Parameters(referenceModel).length);
    expect(disagreeing(gradient, reference.gradients)).toEqual([]);
  });
});

describe('GPT-2 sizes', () => {
  it('has as many parameters as the published GPT-2 small', () => {
    const small = {
      architecture: 'gpt2',
      vocabularySize: 50_257,
      contextLength: 1024,
      width: 768,
      layers: 12,
      heads: 12,
    } as const;
    expect(countParameters(gpt2Parameters(small))).toBe(124_439_808);
  });

  it('says which heads would divide the width', () => {
    const odd = { ...referenceModel, width: 130, heads: 4 };
    expect(() => checkGpt2(odd)).toThrow(/model\.width 130 does not divide into model\.heads 4.*1, 2/);
  });
});
