/** `npm run bench NAME -- [--short] [--json FILE]`: every figure that the docs quote. */
import { parseArgs } from 'node:util';
import { calibrate } from './calibrate.ts';
import { engine } from './engine.ts';

const benches: Readonly<
  Record<string, (options: { readonly short: boolean; readonly json: string | undefined }) => Promise<boolean>>
> = { engine, calibrate };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean', default: false }, json: { type: 'string' } },
});
const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  console.error(
    `Usage: npm run bench NAME -- [--short] [--json FILE]; NAME is one of ${Object.keys(benches).join(', ')}.`,
  );
  process.exitCode = 2;
} else {
  process.exitCode = (await bench({ short: values.short, json: values.json })) ? 0 : 1;
}
