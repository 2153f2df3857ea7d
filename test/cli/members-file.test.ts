import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { membersWriter, readMembers } from '../../src/cli/members-file.ts';

it('says once that addresses cannot be written, and goes on; once they can, they are there for their owner alone', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-members-'));
  const heard: string[] = [];
  const write = membersWriter(folder, (sentence) => heard.push(sentence));
  const file = path.join(folder, 'members.json');
  // Whoever may do anything cannot put a file in the place of a folder either.
  mkdirSync(path.join(file, 'x'), { recursive: true });
  for (let i = 0; i < 3; i++) write(['10.0.0.1']);
  expect(heard).toEqual([
    expect.stringMatching(/^From where islands came is not kept .*members\.json.* The run goes on\.$/),
  ]);
  expect(readMembers(folder)).toEqual([]);
  rmSync(file, { recursive: true });
  write(['10.0.0.1', '10.0.0.2']);
  expect(readMembers(folder)).toEqual(['10.0.0.1', '10.0.0.2']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  rmSync(file);
  mkdirSync(path.join(file, 'x'), { recursive: true });
  write(['10.0.0.1']);
  expect(heard).toHaveLength(2);
  rmSync(folder, { recursive: true });
});
