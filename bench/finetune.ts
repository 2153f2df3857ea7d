import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ENTRY, PACKAGE_FOLDER } from '../src/cli/context.ts';
import type { Summary } from '../src/cli/records.ts';
import { type Figure, publish } from './figures.ts';

/**
 * `npm run bench finetune`: what the default rates do to a base, and one rate on either side. The quickstart's model goes on with its own text, which it must not
 * unlearn, and with another author's, which it is to learn; whole and with adapters. docs/decisions/0015-fine-tuning-rates.md rests on it.
 */

interface Trial {
  readonly kind: 'whole' | 'lora';
  readonly text: 'own' | 'other';
  readonly optimizer: 'muon' | 'adamw';
  readonly steps: number;
  /** Undefined: the default. */
  readonly rate?: number;
}

const RATES = {
  whole: { muon: [0.01, 0.001], adamw: [0.002, 0.0002] },
  lora: { muon: [0.02, 0.002], adamw: [0.008, 0.0008] },
} as const;
const TEXTS = { own: 'austen/*.txt', other: 'moby-dick/moby-dick.txt' } as const;
const QUICKSTART = path.join(PACKAGE_FOLDER, 'examples/quickstart.yaml');

function trials(short: boolean): readonly Trial[] {
  const kinds = ['whole', 'lora'] as const;
  const optimizers = ['muon', 'adamw'] as const;
  const texts = ['own', 'other'] as const;
  return kinds.flatMap((kind) =>
    optimizers.flatMap((optimizer) =>
      texts.flatMap((text) =>
        (short ? [undefined] : [undefined, ...RATES[kind][optimizer]]).flatMap((rate): readonly Trial[] => [
          ...(short ? [] : [{ kind, optimizer, text, steps: 200, ...(rate === undefined ? {} : { rate }) }]),
          // What a short run does to the own text, at the default.
          ...(rate === undefined && (short || text === 'own') ? [{ kind, optimizer, text, steps: 40 }] : []),
        ]),
      ),
    ),
  );
}

export async function finetune({ short, json }: { readonly short: boolean; readonly json: string | undefined }) {
  const startedAt = new Date();
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-finetune-'));
  const train = async (file: string): Promise<Summary> => {
    const args = ['--disable-warning=ExperimentalWarning', ENTRY, 'train', file, '--json', '--runs', folder];
    return JSON.parse((await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 26 })).stdout) as Summary;
  };
  try {
    console.error('the base: the quickstart …');
    await train(QUICKSTART);
    const figures: Figure[] = [];
    for (const { kind, text, optimizer, steps, rate } of trials(short)) {
      const name = `${kind}-${optimizer}-${text}-${steps}-${rate ?? 'default'}`;
      const file = path.join(folder, `${name}.yaml`);
      const model = {
        base: path.join(folder, 'quickstart'),
        ...(kind === 'lora' ? { lora: { rank: 8, alpha: 16 } } : {}),
      };
      const job = {
        ...{ name, model, data: path.join(PACKAGE_FOLDER, 'data', TEXTS[text]), context: 128, batch: 8, islands: 2 },
        inner: { optimizer, ...(rate === undefined ? {} : { rate }) },
        stop: { steps },
        evaluation: { everyMerges: 1, tokens: 16_384 },
      };
      // JSON is YAML as well.
      writeFileSync(file, JSON.stringify(job));
      const { validationLoss } = await train(file);
      const { before, after } = validationLoss;
      const isDefault = rate === undefined;
      const unlearns = text === 'own' && isDefault;
      figures.push({
        id: `finetune.${name}`,
        value: after! - before!,
        unit: 'nats/token',
        target: unlearns ? '≤ 0.02' : null,
        met: unlearns ? after! - before! <= 0.02 : null,
        note: `${before!.toFixed(3)} → ${after!.toFixed(3)}${isDefault ? `, rate ${rateOf(path.join(folder, name))}` : ''}`,
      });
      console.error(`  ${name}: ${figures.at(-1)!.note}`);
    }
    publish('finetune', startedAt, figures, json);
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const rateOf = (run: string): string =>
  /^ {2}rate: (\S+)/m.exec(readFileSync(path.join(run, 'run.yaml'), 'utf8'))?.[1] ?? '?';
