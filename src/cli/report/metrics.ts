import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { LiveRecord } from '../records.ts';

/** The records of a run; a last line that was cut off is left out. */
export function readMetrics(folder: string): readonly LiveRecord[] {
  let text: string;
  try {
    text = readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as LiveRecord];
    } catch {
      return [];
    }
  });
}
