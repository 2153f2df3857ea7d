import { HelioError } from '../../errors.ts';
import { type Conversation, conversationOf, textOf } from './chat/conversation.ts';

/** A document, or a piece of a long one. */
export interface Document {
  readonly source: string;
  readonly text: string;
  /** Goes before the text, is read by the model, and does not count. */
  readonly prompt?: string;
  /** What is said by turns; only the assistant's counts. The text is then what is said, without the template that it is read in. */
  readonly conversation?: Conversation;
  /** More of the same document follows. */
  readonly continues?: boolean;
}

/** What the text is called where the run does not say. */
export const TEXT_FIELDS = ['text', 'prompt', 'completion'];

type Record = Readonly<{ [field: string]: unknown }>;

/**
 * The document of one line of JSON Lines: the field that the run names, or `text`, or a `prompt` and its `completion`, or `messages`.
 *
 * @param source file and line, for messages
 * @returns undefined where the field is null
 * @throws HelioError HELIO-1003 when it is no JSON, or has no text
 */
export function documentOf(line: string, source: string, field: string | undefined): Document | undefined {
  const record = parse(line, source);
  const name = field ?? 'text';
  if (Object.hasOwn(record, name)) {
    const text = record[name];
    if (typeof text === 'string') return { source, text };
    if (text === null) return undefined;
  }
  const messages = record[field ?? 'messages'];
  if (Array.isArray(messages)) {
    const conversation = conversationOf(messages, record.tools, source);
    return { source, text: textOf(conversation), conversation };
  }
  const { prompt, completion } = record;
  if (field === undefined && typeof prompt === 'string' && typeof completion === 'string')
    return { source, prompt, text: completion };
  throw new HelioError(
    'HELIO-1003',
    `${source} has no "${name}" that is a string${field === undefined ? ', nor a "prompt" with its "completion", nor "messages"' : ''}; it has ${shown(record)}.`,
    field === undefined
      ? 'Give each line a "text" field, or the others, or say which field is the text: data.field.'
      : 'Correct data.field.',
  );
}

function parse(line: string, source: string): Record {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {}
  if (typeof value === 'object' && value !== null) return value as Record;
  throw new HelioError('HELIO-1003', `${source} is not JSON.`, 'Each line of a .jsonl file has to be one JSON object.');
}

const SHOWN = 12;
/** Names of its fields, few and short, without what would move a cursor. */
const shown = (record: Record): string =>
  Object.keys(record)
    .slice(0, SHOWN)
    .map((name) => JSON.stringify(name.slice(0, 64).replace(/\p{C}/gu, '?')))
    .join(', ') || 'nothing';
