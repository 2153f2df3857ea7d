import { bytesOfSymbols } from './byte-symbols.ts';
import { choose, type Part, type Pattern } from './tokenizer-json.ts';
import { expressionOf } from './unicode.ts';

/**
 * Makes pieces of text of tokens. Each is what Hugging Face's `tokenizers` (Rust) computes under the same name. Of all of them the
 * text of some tokens begins with the text of the first of these, but for bytes of a character, or of a run, that is not complete.
 */
export type Decode = (tokens: readonly string[]) => readonly string[];

/** Text of tokens. Where a tokenizer has no decoder, a space stands between them. */
export function decoderOf(part: Part | null | undefined): (tokens: readonly string[]) => string {
  if (part === null || part === undefined) return (tokens) => tokens.join(' ');
  const decode = choose('decoder', part, DECODERS)(part);
  return (tokens) => decode(tokens).join('');
}

/** Whether the decoder makes bytes of tokens such as `<0x0A>`: a run of them is text only when it has come to its end. */
export const hasByteFallback = (part: Part | null | undefined): boolean =>
  part?.type === 'ByteFallback' ||
  (part?.type === 'Sequence' && (part.decoders as readonly Part[]).some((each) => hasByteFallback(each)));

export const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

const each =
  (change: (token: string, place: number) => string): Decode =>
  (tokens) =>
    tokens.map(change);

const DECODERS: Readonly<Record<string, (part: Part) => Decode>> = {
  ByteLevel: () => (tokens) => [Buffer.concat(tokens.map(bytesOfSymbols)).toString('utf8')],
  Metaspace: (part) => {
    const replacement = String(part.replacement ?? '▁');
    const scheme = part.prepend_scheme ?? (part.add_prefix_space === false ? 'never' : 'always');
    return each((token, i) => token.replaceAll(replacement, i === 0 && scheme !== 'never' ? '' : ' '));
  },
  WordPiece: ({ prefix = '##', cleanup }) =>
    each((token, i) => {
      const continues = token.startsWith(String(prefix));
      const piece = i === 0 ? token : continues ? token.slice(String(prefix).length) : ` ${token}`;
      return cleanup === false ? piece : cleanUp(piece);
    }),
  Replace: ({ pattern, content }) => {
    const expression = expressionOf(pattern as Pattern);
    return each((token) => token.replace(expression, () => String(content)));
  },
  Fuse: () => (tokens) => [tokens.join('')],
  Strip: ({ content, start = 0, stop = 0 }) =>
    each((token) => {
      const characters = [...token];
      let begin = 0;
      while (begin < Number(start) && characters[begin] === content) begin++;
      let end = characters.length;
      while (characters.length - end < Number(stop) && end > begin && characters[end - 1] === content) end--;
      return characters.slice(begin, end).join('');
    }),
  ByteFallback: () => byteFallback,
  Sequence: ({ decoders }) => {
    const steps = (decoders as readonly Part[]).map((part) => choose('decoder', part, DECODERS)(part));
    return (tokens) => steps.reduce((pieces, decode) => decode(pieces), tokens);
  },
};

/** A run of bytes is a text, or a replacement character for each where it is none. */
function byteFallback(tokens: readonly string[]): readonly string[] {
  const pieces: string[] = [];
  let run: number[] = [];
  const end = (): void => {
    if (run.length === 0) return;
    try {
      pieces.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(run)));
    } catch {
      pieces.push(...run.map(() => '\ufffd'));
    }
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) {
      run.push(Number.parseInt(byte, 16));
      continue;
    }
    end();
    pieces.push(token);
  }
  end();
  return pieces;
}

const CLEAN: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** WordPiece's own, within one token. */
const cleanUp = (piece: string): string => CLEAN.reduce((text, [from, to]) => text.replaceAll(from, to), piece);
