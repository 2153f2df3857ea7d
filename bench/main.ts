/** `npm run bench NAME -- [--short] [--json FILE]`: every figure that the docs quote. */
import { parseArgs } from 'node:util';
import { codecs } from './codecs.ts';
import { coordinator } from './coordinator/index.ts';
import { data } from './data.ts';
import { energy } from './energy/index.ts';
import { engine } from './engine.ts';
import { finetune } from './finetune.ts';
import { link } from './link.ts';
import { quality } from './quality/index.ts';
import { robust } from './robust.ts';
import { sampling } from './sampling.ts';
import { scale } from './scale/index.ts';
import { sizes } from './sizes/index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    profile: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    data: { type: 'string' },
  },
});
const common = { short: values.short, json: values.json };
const benches: Readonly<Record<string, () => Promise<boolean>>> = {
  energy: () => energy({ ...common, only: values.only, data: values.data }),
  engine: () => engine({ ...common, profile: values.profile, only: values.only }),
  codecs: () => codecs(common),
  coordinator: () => coordinator({ ...common, only: values.only }),
  data: () => data(common),
  finetune: () => finetune(common),
  link: () => link(common),
  quality: () => quality({ ...common, only: values.only }),
  robust: () => robust(common),
  sampling: () => sampling(common),
  scale: () => scale(common),
  sizes: () => sizes({ ...common, only: values.only }),
};
const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  console.error(
    `Usage: npm run bench NAME -- [--short] [--json FILE]; NAME is one of ${Object.keys(benches).join(', ')}.`,
  );
  console.error(
    'For engine also: --profile (where the time goes); --only MODEL, for quality and energy --only SECTION, for coordinator --only PART, for sizes --only ROAD (may be repeated); for energy --data FOLDER with real traces.',
  );
  process.exitCode = 2;
} else process.exitCode = (await bench()) ? 0 : 1;
