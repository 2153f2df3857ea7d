import { createContext, Script } from 'node:vm';
import { Template } from '@huggingface/jinja';
import { HelioError } from '../../../errors.ts';
import type { SpecialTokens } from '../tokenizer/special-tokens.ts';
import type { Conversation, Message } from './conversation.ts';

/** A conversation as text, and which characters the template marks as the assistant's. */
export interface Rendered {
  readonly text: string;
  readonly spans: readonly Span[];
}

export interface Span {
  readonly begin: number;
  readonly end: number;
}

export interface ChatTemplate {
  /** Whether the template says itself what the assistant says: `{% generation %}`. */
  readonly marks: boolean;
  /** @throws Error of the template, or when it takes too long or says too much */
  render(conversation: Conversation, messages: readonly Message[], addGenerationPrompt: boolean): Rendered;
}

/** A template comes from elsewhere: how long it is, what it makes of a conversation, and how long that takes are bounded. */
const MOST_TEMPLATE = 2 ** 18;
const MOST_TEXT = 2 ** 24;
const MOST_MS = 20_000;

/** Noncharacters of Unicode: no text has them. */
const [BEGIN, END] = ['\ufdd0', '\ufdd1'] as const;
const MARKS = new RegExp(`[${BEGIN}${END}]`, 'g');
/** The tag stays one tag, so that the white space around it is what it was. */
const GENERATION = /\{%(-?\+?)\s*(end)?generation\s*(-?\+?)%\}/g;
/** The library's own clock cannot be replaced but from within. */
const CLOCK = '{% set strftime_now = heliotrope_date %}\n';
const MARKING = `{% macro heliotrope_marks() %}${BEGIN}{{ caller() }}${END}{% endmacro %}\n`;

/**
 * A template in Jinja's language, by Hugging Face's library.
 *
 * @param special tokens that templates name as `bos_token` and so on
 * @throws HelioError HELIO-1004 when it cannot be read
 */
export function chatTemplate(source: string, special: SpecialTokens): ChatTemplate {
  const tags = source.match(GENERATION) ?? [];
  const marked = source.replace(GENERATION, (_, left: string, end: string | undefined, right: string) =>
    end === undefined ? `{%${left} call heliotrope_marks() ${right}%}` : `{%${left} endcall ${right}%}`,
  );
  const template = parse(CLOCK + (tags.length === 0 ? source : MARKING + marked));
  const tokens = Object.fromEntries(Object.entries(special).map(([role, token]) => [`${role}_token`, token]));
  return {
    marks: tags.length > 0,
    render: ({ tools }, messages, addGenerationPrompt) => {
      const text = bounded(() =>
        template.render({
          ...tokens,
          heliotrope_date: fixedDate,
          messages,
          tools: tools ?? null,
          documents: null,
          add_generation_prompt: addGenerationPrompt,
        }),
      );
      if (text.length > MOST_TEXT) throw new Error(`the chat template makes ${text.length} characters of it`);
      return unmarked(text);
    },
  };
}

function parse(source: string): Template {
  try {
    if (source.length > MOST_TEMPLATE) throw new Error(`it has more than ${MOST_TEMPLATE} characters`);
    return new Template(source);
  } catch (error) {
    throw new HelioError(
      'HELIO-1004',
      `The tokenizer's chat_template cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      'Correct chat_template.jinja, or chat_template in tokenizer_config.json.',
      { cause: error },
    );
  }
}

/** The same on every day and machine, so that a run that is resumed reads the same: the date that Llama's templates have without a clock. */
function fixedDate(format: string): string {
  const parts: Readonly<Record<string, string>> = { Y: '2024', m: '07', d: '26', b: 'Jul', B: 'July' };
  return String(format).replace(/%(.)/g, (whole, key: string) => (Object.hasOwn(parts, key) ? parts[key]! : whole));
}

const script = new Script('work()');

/** A script's time limit also ends what it calls. */
function bounded(work: () => string): string {
  return script.runInContext(createContext({ work }), { timeout: MOST_MS }) as string;
}

function unmarked(text: string): Rendered {
  const spans: Span[] = [];
  let begin = 0;
  let marks = 0;
  for (const { 0: mark, index } of text.matchAll(MARKS)) {
    const place = index - marks++;
    if (mark === BEGIN) begin = place;
    else if (place > begin) spans.push({ begin, end: place });
  }
  return { text: text.replace(MARKS, ''), spans };
}
