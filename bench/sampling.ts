import { seededRandom } from '../src/ml/tensor/random.ts';
import { draw, type SamplingOptions } from '../src/ml/training/sampling.ts';
import { type Figure, median, publish } from './figures.ts';

/** `npm run bench sampling`: what choosing the next token costs, beside what the model takes to say how likely each is. */

const VOCABULARY = 49_152;
const WAYS: Readonly<Record<string, SamplingOptions>> = {
  greedy: { temperature: 0 },
  temperature: { temperature: 0.8 },
  'top-k-40': { temperature: 0.8, topK: 40 },
  'top-p-0.9': { temperature: 0.8, topP: 0.9 },
  'top-k-5000-top-p-0.95': { temperature: 0.8, topK: 5_000, topP: 0.95 },
};
/** Spread of the logits: of a model that knows nothing, and of one that is sure. */
const SPREADS = { unsure: 0.5, sure: 4 } as const;

export async function sampling({ short, json }: { readonly short: boolean; readonly json: string | undefined }) {
  const startedAt = new Date();
  const figures: Figure[] = [];
  for (const [name, spread] of Object.entries(SPREADS)) {
    const random = seededRandom(1);
    const logits = Float32Array.from({ length: VOCABULARY }, () => spread * random.normal());
    const known = new Uint8Array(VOCABULARY).fill(1);
    for (const [way, options] of Object.entries(WAYS)) {
      const rounds = Array.from({ length: short ? 5 : 15 }, () =>
        cpuMs(() => draw(logits, { ...options, known }, random.uniform())),
      );
      const ms = median(rounds);
      figures.push({
        id: `sampling.${VOCABULARY}.${name}.${way}`,
        value: ms,
        unit: 'ms',
        target: '≤ 1 ms',
        met: ms <= 1,
        note: 'of a processor, a token',
      });
    }
  }
  publish('sampling', startedAt, figures, json);
  return true;
}

const CALLS = 50;

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / CALLS;
}
