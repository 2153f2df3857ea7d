import { describe, expect, it } from 'vitest';
import { createSession, floatsOf, floatTensor, intTensor } from '../../../src/ml/engine/session.ts';
import { checkGpt2, gpt2Parameters } from '../../../src/ml/models/gpt2.ts';
import { countParameters } from '../../../src/ml/tensor/parameters.ts';
import { gradientGraph, logitsGraph } from '../../../src/ml/training/training-graph.ts';
import { ids, reference, referenceModel, referenceParameters, relativeError, unpackFloats } from './reference.ts';

const { batch, tokens, targets } = reference;
const shape = [batch, referenceModel.contextLength];
const parameters = Object.fromEntries(
  gpt2Parameters(referenceModel).map((spec) => [
    spec.name,
    floatTensor(referenceParameters().get(spec.name)!, spec.shape),
  ]),
);

describe('GPT-2 against PyTorch', () => {
  it('computes the same logits', async () => {
    const session = await createSession(logitsGraph(referenceModel, batch), 'logits', { threads: 1 });
    const { logits } = await session.run({ ...parameters, tokens: intTensor(ids(tokens), shape) });
    expect(relativeError(floatsOf(logits!), unpackFloats(reference.logits))).toBeLessThan(1e-5);
  });

  it('computes the same loss and the same gradient of every parameter', async () => {
    const session = await createSession(gradientGraph(referenceModel, batch), 'gradients', { threads: 1 });
    const results = await session.run({
      ...parameters,
      tokens: intTensor(ids(tokens), shape),
      targets: intTensor(ids(targets), shape),
    });
    expect(floatsOf(results.loss!)[0]).toBeCloseTo(reference.loss, 5);
    const errors = Object.entries(reference.gradients).map(([name, packed]) => [
      name,
      relativeError(floatsOf(results[`gradient:${name}`]!), unpackFloats(packed)),
    ]);
    expect(errors).toHaveLength(gpt2Parameters(referenceModel).length);
    expect(errors.filter(([, error]) => Number(error) > 1e-4)).toEqual([]);
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
