import { describe, expect, it } from 'vitest';
import type { Summary } from '../../src/cli/records.ts';
import { run, scratch, tinyRun } from './command.ts';

describe('every strategy and rule trains a real model', { timeout: 120_000 }, () => {
  const folder = scratch();

  it.each([
    ['fedavgm', { strategy: 'fedavgm', innerSteps: 10, rate: 0.5, momentum: 0.5 }],
    ['fedadam', { strategy: 'fedadam', innerSteps: 10 }],
    ['fedyogi', { strategy: 'fedyogi', innerSteps: 10 }],
    ['streaming', { strategy: 'streaming', innerSteps: 12, fragments: 3 }],
    ['decoupled', { strategy: 'decoupled', innerSteps: 12 }],
    ['fedprox', { strategy: 'fedprox', innerSteps: 10, proximal: 0.1 }],
    ['muloco', { strategy: 'muloco', innerSteps: 12 }],
    ['sparseloco', { strategy: 'sparseloco', innerSteps: 5, upCodec: 'top-1/8+int4' }],
    [
      'dilocox',
      {
        strategy: 'dilocox',
        innerSteps: 10,
        rate: 0.5,
        momentum: 0.3,
        upCodec: 'low-rank-16+int8',
        downCodec: 'int8',
        overlapSteps: 5,
      },
    ],
    ['async', { strategy: 'async', innerSteps: 10, momentum: 0.5 }],
    [
      'diloco, fragments of layers',
      { strategy: 'diloco', innerSteps: 12, momentum: 0.5, fragments: 3, fragmentation: 'strided', upCodec: 'bf16' },
    ],
    ['median', { averaging: 'median', innerSteps: 10 }],
    ['multi-krum', { averaging: 'multi-krum', innerSteps: 10 }],
  ])('%s', async (name, outer) => {
    const { status, stdout, stderr } = await run(
      ['train', tinyRun(folder, name, { outer, stop: { steps: 60 } }), '--json'],
      folder,
    );
    expect(status, stderr).toBe(0);
    const { validationLoss, steps } = JSON.parse(stdout) as Summary;
    expect(steps).toBe(60);
    expect(validationLoss.after!).toBeLessThan(validationLoss.before! - 0.5);
  });

  it('islands that are merged one by one measure the model that is saved, whatever comes back', async () => {
    const outer = { strategy: 'async', innerSteps: 10, momentum: 0.5, downCodec: 'int8' };
    const file = tinyRun(folder, 'one-by-one', { outer, stop: { steps: 60 } });
    const { status, stdout, stderr } = await run(['train', file, '--json'], folder);
    expect(status, stderr).toBe(0);
    const { validationLoss } = JSON.parse(stdout) as Summary;
    const { loss } = JSON.parse((await run(['eval', 'one-by-one', '--json'], folder)).stdout) as { loss: number };
    expect(validationLoss.after).toBeCloseTo(loss, 3);
    expect(loss).toBeLessThan(validationLoss.before! - 0.5);
  });

  it('a rule that there is not is refused with those that there are', async () => {
    const { status, stderr } = await run(['train', tinyRun(folder, 'bad', { outer: { averaging: 'mode' } })], folder);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/outer\.averaging is "mode".*trimmed-mean/s)]);
  });
});
