import type { WordModel } from './bpe.ts';
import { type Part, vocabularyOf } from './tokenizer-json.ts';

/** WordPiece as BERT's: the longest token that the word begins with, then what follows, marked as a continuation. */
export function wordPiece(part: Part): WordModel {
  const vocabulary = vocabularyOf(part);
  const prefix = String(part.continuing_subword_prefix ?? '##');
  const longest = Number(part.max_input_chars_per_word ?? 100);
  const unknownId = vocabulary.get(String(part.unk_token));
  const unknown = (): readonly number[] => {
    if (unknownId === undefined) throw new TypeError('it has no token for what it does not know');
    return [unknownId];
  };
  return (word) => {
    const characters = [...word];
    if (characters.length > longest) return unknown();
    const ids: number[] = [];
    for (let begin = 0; begin < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > begin; end--) {
        id = vocabulary.get((begin === 0 ? '' : prefix) + characters.slice(begin, end).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return unknown();
      ids.push(id);
      begin = end;
    }
    return ids;
  };
}
