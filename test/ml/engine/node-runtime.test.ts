import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** What a process that computes leaves in its home and temporary folder. */
function leftBehind(where: 'main' | 'thread'): readonly string[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-first-session-'));
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...environment } = process.env;
  const script = path.join(import.meta.dirname, 'first-session.ts');
  const { status, stderr } = spawnSync(process.execPath, [script, where], {
    env: { ...environment, HOME: folder, TMPDIR: folder },
    encoding: 'utf8',
  });
  const left = readdirSync(folder);
  rmSync(folder, { recursive: true });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return left;
}

describe('ONNX Runtime in Node', () => {
  it('collects no data about its owner: no database in the home folder, no log in the temporary one', () => {
    expect(leftBehind('main')).toEqual([]);
  });

  it('collects none in a thread either', () => {
    expect(leftBehind('thread')).toEqual([]);
  });
});
