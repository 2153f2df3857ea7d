import { SpillBuffer } from '../../src/coordinator/server/spill-buffer.ts';
import { aggregationOf, contribution } from './aggregate.ts';

/**
 * `node memory.ts ELEMENTS CONTRIBUTORS`: contributions to a model of so many numbers, one after the other, in a process of its own; prints the most memory
 * that it had. They come as they would over the network, encoded, and wait encoded for their merge.
 */
const [elements, contributors] = process.argv.slice(2).map(Number) as [number, number];
const { aggregation, fragment, parameters } = aggregationOf(elements, 'int4', () => new SpillBuffer(2 ** 30));
const template = contribution(fragment, parameters, 'int4', 0);
const before = process.memoryUsage().rss;
const startMs = performance.now();
const weights = Array.from({ length: contributors }, (_, m) => ({ island: `island-${m}`, weight: 1 }));
for (const { island } of weights) aggregation.contribute(0, island, { ...template, payload: template.payload.slice() });
aggregation.merge(0, weights);
const peak = process.resourceUsage().maxRSS * 1024;
console.log(
  JSON.stringify({
    beforeBytes: before,
    peakBytes: peak,
    payloadBytes: template.payload.length,
    ms: performance.now() - startMs,
  }),
);
