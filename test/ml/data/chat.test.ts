import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Conversation, Message } from '../../../src/ml/data/chat/conversation.ts';
import { chatEncoder } from '../../../src/ml/data/chat/encode-chat.ts';
import { documentOf } from '../../../src/ml/data/records.ts';
import { idOf, isSilent } from '../../../src/ml/data/token-stream.ts';
import { tokenize } from '../../../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';
import { loadFolderTokenizer } from '../../../src/ml/models/tokenizer-files.ts';
import { FIXTURES } from '../models/reference.ts';

/** What `apply_chat_template` of transformers gives, with its mask of the assistant's tokens: see make_tokenizer_reference.py. */
interface Chat {
  readonly messages: readonly Message[];
  readonly documents: readonly { readonly ids: readonly number[]; readonly mask: readonly number[] }[];
}
const { tokenizers } = JSON.parse(readFileSync(`${FIXTURES}/tokenizers/reference.json`, 'utf8')) as {
  tokenizers: Readonly<Record<string, { readonly chats?: readonly Chat[] }>>;
};
const chats = Object.entries(tokenizers).flatMap(([name, { chats: list }]) =>
  list === undefined ? [] : [[name, list] as const],
);
const load = (name: string) => loadFolderTokenizer(`${FIXTURES}/tokenizers/${name}`);
const templated = (chatTemplate: string) =>
  loadTokenizer(load('qwen').tokenizerJson, 'test', {
    beside: { 'tokenizer_config.json': JSON.stringify({ eos_token: '<|im_end|>', chat_template: chatTemplate }) },
  });
const HELLO: Conversation = {
  messages: [
    { role: 'user', content: 'Hello?' },
    { role: 'assistant', content: 'Hello.' },
  ],
};

describe.each(chats)('conversations in the template of %s', (name, list) => {
  it('have the ids and the assistant’s tokens that transformers gives', () => {
    const encode = chatEncoder(load(name).tokenizer);
    for (const { messages, documents } of list) {
      const ours = encode({ messages }, 'test').map((tokens) => ({
        ids: tokens.map(idOf),
        mask: tokens.map((token) => (isSilent(token) ? 0 : 1)),
      }));
      expect(ours).toEqual(documents);
    }
  });
});

describe('conversations in JSON Lines', () => {
  const { tokenizer } = load('qwen');

  it('are documents of their own, of which only the assistant’s turns count', () => {
    const lines = [
      JSON.stringify(HELLO),
      JSON.stringify({ text: 'plain' }),
      JSON.stringify({ ...HELLO, tools: null }),
    ].map((line, i) => documentOf(line, `chat.jsonl:${i + 1}`, undefined)!);
    const { tokens, documents } = tokenize(tokenizer, lines);
    const stream = [...tokens.read(0, tokens.length)];
    expect(documents).toHaveLength(3);
    const first = stream.slice(0, documents[1]);
    const said = first.filter((token) => !isSilent(token));
    expect(said.map((id) => tokenizer.tokenOf(id)).join('')).toBe('Hello.<|im_end|>');
    expect(stream.slice(documents[2])).toEqual(first);
  });

  it('may stand in a field that the run names', () => {
    const line = JSON.stringify({ talk: HELLO.messages });
    expect(documentOf(line, 'x:1', 'talk')!.conversation).toEqual(HELLO);
    expect(() => documentOf(line, 'x:1', undefined)).toThrow(/x:1 has no "text".*nor "messages"; it has "talk"/);
  });

  it.each([
    ['no role', [{ content: 'a' }], /x:1 is no conversation.*message 1 has no "role"/],
    ['a number as content', [{ role: 'user', content: 3 }], /message 1 has a "content" that is no text/],
    ['no assistant', [{ role: 'user', content: 'a' }], /the assistant says nothing/],
    ['too many', Array(1_001).fill({ role: 'assistant', content: 'a' }), /more than 1000 messages/],
  ])('are refused with their line: %s', (_, messages, message) => {
    expect(() => documentOf(JSON.stringify({ messages }), 'x:1', undefined)).toThrow(message);
  });
});

describe('a chat template', () => {
  it('is asked for where there is none', () => {
    expect(() => chatEncoder(load('gpt2').tokenizer)(HELLO, 'x:7')).toThrow(/x:7 is a conversation.*no chat_template/);
  });

  it('says itself what it does not take, and the line is named', () => {
    const { tokenizer } = load('llama2');
    const messages = [...HELLO.messages].reverse();
    expect(() => chatEncoder(tokenizer)({ messages }, 'x:7')).toThrow(/applied to x:7: .*must alternate/);
  });

  it('that cannot be read is refused', () => {
    expect(() => chatEncoder(templated('{% for %}'))(HELLO, 'x')).toThrow(/chat_template cannot be read/);
    expect(() => chatEncoder(templated('x'.repeat(2 ** 18 + 1)))(HELLO, 'x')).toThrow(/more than 262144 characters/);
  });

  it('gets its tools, and the same date on every day', () => {
    const encode = chatEncoder(
      templated(
        "{{ strftime_now('%d %B %Y') }}{{ tools[0].name }}{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
      ),
    );
    const { tokenizer } = load('qwen');
    const [ids] = encode({ ...HELLO, tools: [{ name: 'clock' }] }, 'x');
    expect(tokenizer.decode(ids!.map(idOf))).toBe('26 July 2024clockHello?Hello.');
  });

  it('that makes endlessly much of a conversation is stopped', () => {
    const endless = "{% for a in range(100000) %}{{ 'abcdefghij' * 1000 }}{% endfor %}";
    expect(() => chatEncoder(templated(endless))(HELLO, 'x:7')).toThrow(/applied to x:7/);
  });
});
