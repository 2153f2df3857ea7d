import { choose, isTokenId, type Part } from './tokenizer-json.ts';

/** Tokens that a tokenizer puts before and after a text: what its `post_processor` adds to one sequence. */
export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: Template = { before: [], after: [] };

export const templateOf = (part: Part | null | undefined): Template =>
  part === null || part === undefined ? NOTHING : choose('post-processor', part, PROCESSORS)(part);

/** `sep` and `cls` are written as [token, id]. */
const classified = ({ cls, sep }: Part): Template => ({
  before: [idOf((cls as readonly unknown[])[1])],
  after: [idOf((sep as readonly unknown[])[1])],
});

const PROCESSORS: Readonly<Record<string, (part: Part) => Template>> = {
  // It moves offsets only.
  ByteLevel: () => NOTHING,
  BertProcessing: classified,
  RobertaProcessing: classified,
  TemplateProcessing: ({ single, special_tokens: special }) => {
    const [before, after]: [number[], number[]] = [[], []];
    let reached = false;
    for (const item of single as readonly Readonly<Record<string, { readonly id: string }>>[]) {
      if (item.Sequence !== undefined) reached = true;
      if (item.SpecialToken === undefined) continue;
      const { ids } = (special as Readonly<Record<string, { readonly ids: readonly unknown[] }>>)[
        item.SpecialToken.id
      ]!;
      (reached ? after : before).push(...ids.map(idOf));
    }
    if (!reached) throw new TypeError('its post-processor leaves the text out');
    return { before, after };
  },
  Sequence: ({ processors }) =>
    (processors as readonly Part[]).map(templateOf).reduce((inner, outer) => ({
      before: [...outer.before, ...inner.before],
      after: [...inner.after, ...outer.after],
    })),
};

function idOf(id: unknown): number {
  if (!isTokenId(id)) throw new TypeError(`its post-processor adds the id ${JSON.stringify(id)}`);
  return id;
}
