/**
 * Sanitizes text of others for a terminal: a name, a reason, a refusal, a path, what a model writes. Control characters could move the cursor, change the
 * title, hide what follows, or show it in another order (ECMA-48; Unicode's bidirectional controls, UAX #9). None but our own leaves this program.
 */

const ESCAPE = '\u001b';
/** Control characters, except newlines and tabs. */
const OBEYED = String.raw`[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]`;
/** Colours that we use: none that hides anything. */
const OURS = `${ESCAPE}\\[(?:0|1|2|22|31|32|33|39)m`;

const OBEYED_ANYWHERE = new RegExp(OBEYED, 'gu');
const OBEYED_OR_OURS = new RegExp(`(${OURS})|${OBEYED}`, 'gu');
const OBEYED_IN_JSON = /[\u007f-\u009f]|[\p{Bidi_Control}\u2028\u2029]/gu;

/** The same lines without control characters. */
export const plain = (text: string): string => text.replace(OBEYED_ANYWHERE, ' ');

/** The same, keeping our own colours. Text of others has to be `sanitized` before it gets here, or it could bring colours of its own. */
export const coloured = (text: string): string =>
  text.replace(OBEYED_OR_OURS, (_, ours: string | undefined) => ours ?? ' ');

const MOST_SAID = 1_000;

/** Text of another party as a part of one line of ours: no control characters, and of bounded length. */
export function sanitized(text: string, most = MOST_SAID): string {
  const line = plain(text.length > 2 * most ? text.slice(0, 2 * most) : text).replace(/[\n\t]/g, ' ');
  const letters = [...line];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : line;
}

/** JSON with control characters escaped; it means the same. */
export const json = (value: unknown, indent?: number): string => escaped(JSON.stringify(value, null, indent));

/** The same of JSON that is written already: what it escapes stands in strings alone. */
export const escaped = (text: string): string =>
  text.replace(OBEYED_IN_JSON, (letter) => `\\u${letter.codePointAt(0)!.toString(16).padStart(4, '0')}`);
