import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FrameAssembler, type Transfer } from '../../src/protocol/frame.ts';
import { helloText, isSignedBy, updateText } from '../../src/protocol/identity.ts';
import { readJob } from '../../src/protocol/job.ts';
import { faultOf } from '../../src/protocol/manifest.ts';
import {
  type CoordinatorMessage,
  coordinatorMessageSchema,
  type IslandMessage,
  islandMessageSchema,
  MAX_WELCOME_BYTES,
  parseMessage,
} from '../../src/protocol/messages.ts';
import { receiptText } from '../../src/protocol/receipts.ts';
import type { SessionLine } from './record-session.ts';
import { vectors } from './vectors.ts';

const folder = path.resolve(import.meta.dirname, '../../src/protocol/vectors');

describe('the vectors', () => {
  it.each(['hashes', 'signatures', 'frames', 'codecs'])(
    '%s are what this implementation says (npm run vectors)',
    async (name) => {
      const made = JSON.parse(JSON.stringify((await vectors())[name])) as unknown;
      expect(JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8'))).toEqual(made);
    },
  );
});

describe('the recorded session', async () => {
  const lines = readFileSync(path.join(folder, 'session.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as SessionLine);
  const assemblers = { island: new FrameAssembler({ most: 1e6 }), coordinator: new FrameAssembler({ most: 1e6 }) };
  const words: (IslandMessage | CoordinatorMessage)[] = [];
  const order: string[] = [];
  const transfers: Transfer[] = [];
  for (const { from, text, frame } of lines) {
    if (text !== undefined) {
      const schema = from === 'island' ? islandMessageSchema : coordinatorMessageSchema;
      const message = parseMessage(schema, text, MAX_WELCOME_BYTES)!;
      words.push(message);
      order.push(`${from} ${message.kind}`);
    } else {
      const transfer = await assemblers[from].accept(Buffer.from(frame!, 'base64'));
      if (transfer === undefined) continue;
      transfers.push(transfer);
      order.push(`${from} ${transfer.content.kind}`);
    }
  }
  const said = <K extends string>(kind: K) =>
    words.find((word) => word.kind === kind) as (IslandMessage | CoordinatorMessage) & { kind: K };

  it('goes as docs/protocol.md says', () => {
    const within = (list: readonly string[]): readonly string[] => order.filter((each) => list.includes(each));
    const joining = [
      'coordinator challenge',
      'island hello',
      'coordinator admitted',
      'island resume',
      'coordinator welcome',
      'coordinator preparation',
      'coordinator global',
      'coordinator start',
      'island energy',
      'island due',
      'coordinator pull',
      'island contribution',
      'coordinator merged',
      'coordinator receipt',
      'island leaving',
    ];
    expect(within(joining)).toEqual(joining);
    // What is this island's alone comes before the frames that are the same for all.
    for (const kind of ['coordinator global', 'coordinator merged'])
      expect(order[order.indexOf(kind) - 1]).toBe('coordinator place');
  });

  it('is signed on both sides', async () => {
    const { nonce, run: hosted } = said('challenge') as CoordinatorMessage & { kind: 'challenge' };
    const { island, key, signature } = said('hello') as IslandMessage & { kind: 'hello' };
    expect(await isSignedBy(key, helloText(nonce, hosted!, island), signature)).toBe(true);
    const { run, hostKey, job, manifest } = said('welcome') as CoordinatorMessage & { kind: 'welcome' };
    const { content, hash } = transfers.find((transfer) => transfer.content.kind === 'contribution')!;
    if (content.kind !== 'contribution') throw new Error('not a contribution');
    expect(await isSignedBy(key, updateText(run, content, hash), content.signature)).toBe(true);
    const { receipt, signature: signed } = said('receipt') as CoordinatorMessage & { kind: 'receipt' };
    expect(await isSignedBy(hostKey, receiptText(receipt), signed)).toBe(true);
    expect(receipt).toMatchObject({ hash, handedIn: content.signature, island, key });
    expect(readJob(job).unknown).toEqual([]);
    expect(faultOf(manifest, 1)).toBeUndefined();
  });
});
