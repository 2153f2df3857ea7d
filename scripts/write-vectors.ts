/**
 * Writes src/protocol/vectors/: what an island in another language is tested against. With `--check` only says whether the files are current; with `--session` also
 * records a session anew, of an island that joins a real coordinator, is merged once, and leaves.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { recordSession, type SessionLine } from '../test/protocol/record-session.ts';
import { vectors } from '../test/protocol/vectors.ts';

const folder = path.resolve(import.meta.dirname, '../src/protocol/vectors');
const made = await vectors();
const stale = Object.entries(made).flatMap(([name, content]) => {
  const file = path.join(folder, `${name}.json`);
  const text = `${JSON.stringify(content, null, 2)}\n`;
  if (!process.argv.includes('--check')) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, text);
    return [];
  }
  return readFileSync(file, 'utf8') === text ? [] : [file];
});
if (process.argv.includes('--session')) {
  const lines: readonly SessionLine[] = await recordSession();
  writeFileSync(path.join(folder, 'session.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
console.log(stale.length === 0 ? 'src/protocol/vectors is current' : `stale: ${stale.join(', ')}: npm run vectors`);
process.exitCode = stale.length === 0 ? 0 : 1;
process.exit();
