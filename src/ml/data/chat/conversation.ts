import { HelioError } from '../../../errors.ts';

/** What one side says. What else it has (a name, calls of tools) is the template's affair. */
export interface Message {
  readonly role: string;
  readonly [key: string]: unknown;
}

export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools?: unknown;
}

const MOST_MESSAGES = 1_000;

/** @throws HelioError HELIO-1003 when it is no list of messages, or the assistant says nothing in it */
export function conversationOf(messages: readonly unknown[], tools: unknown, source: string): Conversation {
  const refused = (what: string): HelioError =>
    new HelioError(
      'HELIO-1003',
      `${source} is no conversation to learn from: ${what}.`,
      'Give each line "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].',
    );
  if (messages.length > MOST_MESSAGES) throw refused(`it has more than ${MOST_MESSAGES} messages`);
  messages.forEach((message, i) => {
    const { role, content } = (message ?? {}) as { readonly role?: unknown; readonly content?: unknown };
    if (typeof role !== 'string') throw refused(`message ${i + 1} has no "role"`);
    // Jinja would write a number as text without a word.
    if (content !== null && content !== undefined && typeof content !== 'string' && !Array.isArray(content))
      throw refused(`message ${i + 1} has a "content" that is no text`);
  });
  const list = messages as readonly Message[];
  if (!list.some(({ role }) => role === ASSISTANT)) throw refused('the assistant says nothing');
  return tools === undefined || tools === null ? { messages: list } : { messages: list, tools };
}

/** The side that is learned. */
export const ASSISTANT = 'assistant';

/** What is said in it, for counting. */
export const textOf = ({ messages }: Conversation): string =>
  messages.map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content ?? ''))).join('\n');
