/**
 * Texts of others on a terminal: a name, a reason, a refusal, a path, what a model writes. A terminal obeys some characters: it moves its cursor, takes another
 * title, hides what follows, or shows it in another order (ECMA-48; Unicode's bidirectional controls, UAX #9). None of them leaves this program but our own.
 */

const ESCAPE = '\u001b';
/** All that a terminal obeys, but newlines and tabs. */
const OBEYED = String.raw`[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]`;
/** Colours that we use: none that hides anything. */
const OURS = `${ESCAPE}\\[(?:0|1|2|22|31|32|33|39)m`;

const OBEYED_ANYWHERE = new RegExp(OBEYED, 'gu');
const OBEYED_OR_OURS = new RegExp(`(${OURS})|${OBEYED}`, 'gu');
const OBEYED_IN_JSON = /[\u007f-\u009f]|[\p{Bidi_Control}\u2028\u2029]/gu;

/** Lines as they are, without what a terminal obeys. */
export const plain = (text: string): string => text.replace(OBEYED_ANYWHERE, ' ');

/** The same, with our own colours. What others say has to be `said` before it gets here, or could be coloured by them. */
export const coloured = (text: string): string =>
  text.replace(OBEYED_OR_OURS, (_, ours: string | undefined) => ours ?? ' ');

const MOST_SAID = 1_000;

/** What another party said, as a part of one line of ours. */
export function said(text: string, most = MOST_SAID): string {
  const line = plain(text.length > 2 * most ? text.slice(0, 2 * most) : text).replace(/[\n\t]/g, ' ');
  const letters = [...line];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : line;
}

/** JSON of which a terminal obeys nothing; it means the same. */
export const json = (value: unknown, indent?: number): string => escaped(JSON.stringify(value, null, indent));

/** The same of JSON that is written already: what it escapes stands in strings alone. */
export const escaped = (text: string): string =>
  text.replace(OBEYED_IN_JSON, (letter) => `\\u${letter.codePointAt(0)!.toString(16).padStart(4, '0')}`);
