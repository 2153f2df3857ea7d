import { nodeRuntime } from '../src/ml/engine/node-runtime.ts';
import { seededRandom } from '../src/ml/tensor/random.ts';
import { openPage } from '../test/browser/browser.ts';
import { type Outcome, train, type Work } from '../test/browser/training.ts';
import { type Figure, median } from './figures.ts';

/** The engine in a browser's WebAssembly beside Node's, on the same model and as many threads, in turn. */
export async function browserFigures(rounds: number): Promise<readonly Figure[]> {
  const random = seededRandom(1);
  const work: Work = {
    model: { architecture: 'gpt2', layers: 4, width: 128, heads: 4, contextLength: 128, vocabularySize: 512 },
    optimizer: 'adamw',
    tokens: Uint32Array.from({ length: 20_000 }, () => random.integer(512)),
    batchSize: 8,
    steps: 12,
  };
  const page = await openPage();
  const figures: Figure[] = [];
  for (const threads of [1, 2]) {
    const here: number[] = [];
    const there: number[] = [];
    for (let i = 0; i < rounds; i++) {
      here.push((await train(nodeRuntime(), work, threads)).tokensPerS);
      there.push((await page.work<Outcome>({ ...work, provider: 'wasm', threads })).tokensPerS);
    }
    const id = (what: string): string => `engine.gpt2-0.9m.${threads}-threads.${what}`;
    const plain = { target: null, met: null, note: '' };
    figures.push(
      { id: id('browser-wasm-per-s'), value: median(there), unit: 'tokens/s', ...plain },
      { id: id('node-per-s'), value: median(here), unit: 'tokens/s', ...plain },
      {
        id: id('browser-wasm-ratio-to-node'),
        value: median(there) / median(here),
        unit: '×',
        ...plain,
        note: `Chromium ${page.version}, WebAssembly SIMD; medians of ${rounds} rounds of ${work.steps} steps, in turn`,
      },
    );
  }
  await page.close();
  return figures;
}
