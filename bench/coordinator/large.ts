import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Figure } from '../figures.ts';
import { aggregationOf, contribution } from './aggregate.ts';

/** A model of a billion parameters: the memory of its outer step, and of every path that its states go through. */

const run = promisify(execFile);
const STEP = path.join(import.meta.dirname, 'large-step.ts');
const WALK = path.resolve(import.meta.dirname, '../../test/large/walk.ts');
const FRAGMENTS = 8;
const CONTRIBUTORS = 4;

export async function large(short: boolean): Promise<readonly Figure[]> {
  return [...(await outerStep(short ? 15_625_000 : 125_000_000)), ...(await walk(short ? 9 : 16))];
}

/** θ, v and Δ in float32; contributions wait encoded. A second moment, a residual or a codec's memory are 4 bytes a parameter each. */
async function outerStep(elements: number): Promise<readonly Figure[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-large-step-'));
  try {
    const file = path.join(folder, 'contribution');
    writeFileSync(file, payloadOf(elements));
    const { stdout } = await run(process.execPath, [STEP, ...[FRAGMENTS, elements, CONTRIBUTORS].map(String), file]);
    const of = JSON.parse(stdout) as Record<string, number>;
    const gb = (name: string): string => `${(of[name]! / 1e9).toFixed(2)} GB`;
    const parameters = FRAGMENTS * elements;
    const made = `θ ${gb('parameters')}, v ${gb('velocity')}, other state ${gb('rest')}; of the fragment that is merged Δ ${gb('deltaBytes')}, encoded ${gb('encodedBytes')}, ${CONTRIBUTORS} contributions ${gb('waitingBytes')}`;
    const model = `${(parameters / 1e9).toFixed(2)} B parameters in ${FRAGMENTS} fragments in turn`;
    const bytes = of.peakBytes!;
    return [
      {
        id: 'coordinator.large.step-memory',
        value: bytes / 1e9,
        unit: 'GB',
        target: '≤ 16 bytes a parameter',
        met: bytes <= 16 * parameters,
        note: `${model}: ${made}`,
      },
      { id: 'coordinator.large.step', value: of.s!, unit: 's', target: null, met: null, note: model },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Made here, so that the process that is measured has never held what it is made of. */
function payloadOf(elements: number): Uint8Array {
  const { fragment, parameters } = aggregationOf(elements, 'int4');
  return contribution(fragment, parameters, 'int4', 0).payload;
}

/** Hashed as a base, saved in shards, in a run's and an island's checkpoint, as one blob, and exported; and read again. */
async function walk(layers: number): Promise<readonly Figure[]> {
  const paths = ['hash', 'travel', 'shards', 'checkpoint', 'island', 'blob', 'onnx', 'gguf'];
  const { stdout } = await run(process.execPath, [WALK, String(layers), ...paths]);
  const { parameters, seconds, peakBytes } = JSON.parse(stdout) as {
    readonly parameters: number;
    readonly seconds: Readonly<Record<string, number>>;
    readonly peakBytes: number;
  };
  const times = paths.map((name) => `${name} ${seconds[name]!.toFixed(0)} s`).join(', ');
  return [
    {
      id: 'coordinator.large.paths-memory',
      value: peakBytes / 1e9,
      unit: 'GB',
      target: '≤ 1.5',
      met: peakBytes <= 1.5e9,
      note: `${(parameters / 1e9).toFixed(2)} B parameters (${((4 * parameters) / 1e9).toFixed(1)} GB) through every path: ${times}`,
    },
  ];
}
