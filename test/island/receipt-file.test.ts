import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { receipts } from '../../src/cli/commands/receipts.ts';
import type { CommandContext } from '../../src/cli/context.ts';
import { keptIdentity } from '../../src/cli/identity-file.ts';
import { ReceiptFile } from '../../src/island/node/receipt-file.ts';
import { type Receipt, receiptText } from '../../src/protocol/receipts.ts';

it('a receipt that was cut off when its process was killed spoils none of the others', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-receipts-'));
  const file = path.join(folder, 'receipts.jsonl');
  const identity = await keptIdentity(path.join(folder, 'run.key'));
  const receipt = (version: number): Receipt => ({
    run: 'r',
    island: 'a',
    fragment: 0,
    version,
    round: version,
    steps: 10,
    tokens: 100,
    share: 1,
    key: identity.publicKey,
    merged: version + 1,
    hash: 'f'.repeat(64),
    atS: version,
    handedIn: 'h'.repeat(86),
  });
  const add = async (into: ReceiptFile, version: number): Promise<void> =>
    into.add({
      ...receipt(version),
      signature: await identity.sign(receiptText(receipt(version))),
      host: identity.publicKey,
    });
  const first = new ReceiptFile(() => folder);
  for (const version of [1, 2, 3]) await add(first, version);
  truncateSync(file, readFileSync(file).length - 40);
  await add(new ReceiptFile(() => folder), 4);
  expect(readFileSync(file, 'utf8').match(/"version":\d/g)).toHaveLength(4);
  const context = { json: false } as CommandContext;
  expect(await receipts(file, { host: identity.publicKey }, context)).toBe(0);
  rmSync(folder, { recursive: true });
});
