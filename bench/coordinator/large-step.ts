import { readFileSync } from 'node:fs';
import { Aggregation } from '../../src/coordinator/aggregation.ts';
import { SpillBuffer } from '../../src/coordinator/server/spill-buffer.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';

/**
 * `node large-step.ts FRAGMENTS ELEMENTS CONTRIBUTORS PAYLOAD`: one outer step of every fragment of a model, in turn, in a process of its own; prints
 * what it keeps and the most memory that it had. Contributions come encoded in int4, from a file.
 */
const [count, elements, contributors] = process.argv.slice(2, 5).map(Number) as [number, number, number];
const payload = new Uint8Array(readFileSync(process.argv[5]!));
const fragments = Array.from({ length: count }, (_, index): Fragment => {
  return { index, elements, tensors: [{ name: `w${index}`, elements, rows: 1, role: 'other' }] };
});
const settings = {
  ...STRATEGIES.diloco({ islands: 4, steps: 100, inner: 'adamw' }),
  upCodec: 'int4',
  downCodec: 'f32',
} as const;
const bufferBytes = 2 ** 30 / count;
const aggregation = new Aggregation(fragments, settings, {}, () => new SpillBuffer(bufferBytes));
const weights = Array.from({ length: contributors }, (_, m) => ({ island: `island-${m}`, weight: 1 }));
const startMs = performance.now();
let encodedBytes = 0;
let deltaBytes = 0;
for (const { index } of fragments) {
  for (const { island } of weights)
    aggregation.contribute(index, island, { form: 'update', codec: 'int4', payload: payload.slice() });
  const { encoded, delta } = aggregation.merge(index, weights);
  encodedBytes = encoded.payload.byteLength;
  deltaBytes = delta.byteLength;
}
const kept = (part: 'parameters' | 'velocity' | 'second' | 'residual' | 'memory'): number =>
  fragments.reduce((sum, { index }) => sum + aggregation.array(part, index).byteLength, 0);
console.log(
  JSON.stringify({
    s: (performance.now() - startMs) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    parameters: kept('parameters'),
    velocity: kept('velocity'),
    rest: kept('second') + kept('residual') + kept('memory'),
    deltaBytes,
    encodedBytes,
    waitingBytes: contributors * payload.length,
  }),
);
