import { HelioError } from '../../../errors.ts';
import { SILENT } from '../token-stream.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { ASSISTANT, type Conversation } from './conversation.ts';
import { type ChatTemplate, chatTemplate, type Rendered, type Span } from './template.ts';

/** A conversation as token ids; all but what the assistant says carries `SILENT`. */
export type EncodeChat = (conversation: Conversation, source: string) => readonly (readonly number[])[];

/**
 * Renders conversations by the tokenizer's template, as `apply_chat_template` of `transformers` does: the template writes all special tokens, and
 * nothing is put before or after. What counts is what the template marks by `{% generation %}`; without marks it is what it adds after its
 * generation prompt, to the token that ends the turn.
 *
 * A template that renders earlier turns otherwise once the conversation goes on (it leaves out what was thought, for example) gives a document for
 * each turn of the assistant, as the model will see it then.
 *
 * @throws HelioError HELIO-1004 when the tokenizer has no template, or one that cannot be read
 */
export function chatEncoder(tokenizer: Tokenizer): EncodeChat {
  let template: ChatTemplate | undefined;
  return (conversation, source) => {
    template ??= chatTemplate(required(tokenizer, source), tokenizer.special);
    let documents: readonly Rendered[];
    try {
      documents = template.marks
        ? [template.render(conversation, conversation.messages, false)]
        : turnsOf(template, conversation);
    } catch (error) {
      throw refused(source, error instanceof Error ? error.message : String(error), error);
    }
    const { marks } = template;
    const encoded = documents.map((rendered) => silenced(tokenizer, rendered, marks));
    if (encoded.every((ids) => ids.every((id) => id >= SILENT)))
      throw refused(source, 'nothing of it is the assistant’s');
    return encoded;
  };
}

const refused = (source: string, what: string, cause?: unknown): HelioError =>
  new HelioError(
    'HELIO-1003',
    `The chat template cannot be applied to ${source}: ${what}.`,
    'Give the conversation in the form that the template asks for (which roles, in which order), or leave the line out.',
    { cause },
  );

function required({ chatTemplate: source }: Tokenizer, where: string): string {
  if (source !== undefined) return source;
  throw new HelioError(
    'HELIO-1004',
    `${where} is a conversation, and the tokenizer has no chat_template.`,
    'Take a base that was made for conversations, or put a chat_template.jinja beside tokenizer.json (model.base, tokenizer.path).',
  );
}

/** Where a template marks nothing: each turn of the assistant is what follows the prompt that it would be asked with. */
function turnsOf(template: ChatTemplate, conversation: Conversation): readonly Rendered[] {
  const { messages } = conversation;
  const render = (count: number, prompt: boolean): string =>
    template.render(conversation, messages.slice(0, count), prompt).text;
  const whole = render(messages.length, false);
  const turns = messages.flatMap(({ role }, i): readonly Rendered[] => {
    if (role !== ASSISTANT) return [];
    const text = render(i + 1, false);
    const before = [true, false].map((prompt) => (i === 0 && !prompt ? '' : render(i, prompt)));
    const prompt = before.find((each) => text.startsWith(each));
    if (prompt === undefined)
      throw new Error(`what it makes of message ${i + 1} does not begin with what it makes of those before`);
    return [{ text, spans: [{ begin: prompt.length, end: text.length }] }];
  });
  return turns.every(({ text }) => whole.startsWith(text))
    ? [{ text: whole, spans: turns.flatMap(({ spans }) => spans) }]
    : turns;
}

/** Ids of a rendered conversation. A token counts when a part of it lies in a span, as `char_to_token` of `transformers` finds it. */
function silenced(tokenizer: Tokenizer, { text, spans }: Rendered, marked: boolean): readonly number[] {
  const ids = tokenizer.encode(text);
  const lengthOf = (list: readonly number[]): number =>
    list.reduce((sum, id) => sum + tokenizer.tokenOf(id)!.length, 0);
  // Places are measured in characters of tokens, as these differ from those of the text by normalization.
  const places = spans.map(({ begin, end }) => ({
    begin: lengthOf(tokenizer.encode(text.slice(0, begin))),
    end: lengthOf(tokenizer.encode(text.slice(0, end))),
  }));
  const counts = ids.map(() => false);
  for (const span of places) count(tokenizer, ids, span, counts, marked);
  return ids.map((id, i) => (counts[i] ? id : SILENT + id));
}

function count(tokenizer: Tokenizer, ids: readonly number[], span: Span, counts: boolean[], marked: boolean): void {
  let at = 0;
  let last = -1;
  ids.forEach((id, i) => {
    const end = at + tokenizer.tokenOf(id)!.length;
    if (end > span.begin && at < span.end) {
      counts[i] = true;
      last = i;
    }
    at = end;
  });
  if (marked) return;
  // A line end after the token that ends the turn is the template's.
  let end = last;
  while (end >= 0 && counts[end] && !tokenizer.isSpecial(ids[end]!) && tokenizer.decode([ids[end]!]).trim() === '')
    end--;
  if (end >= 0 && counts[end] && tokenizer.isSpecial(ids[end]!)) counts.fill(false, end + 1, last + 1);
}
