/** Files beside a `tokenizer.json` that belong to the tokenizer, as they are: their names, and their text. */
export type FilesBeside = Readonly<Record<string, string>>;

/** What is read beside a `tokenizer.json`, and written again as it was. */
export const BESIDE = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'generation_config.json',
] as const;

export const ROLES = ['bos', 'eos', 'unk', 'pad', 'sep', 'cls', 'mask'] as const;
export type Role = (typeof ROLES)[number];

/** Which tokens have a role, as `tokenizer_config.json` says it, or `special_tokens_map.json`. */
export type SpecialTokens = Partial<Readonly<Record<Role, string>>>;

/** @throws TypeError that names the file which is no JSON */
export function specialTokensOf(beside: FilesBeside): SpecialTokens {
  const sources = [configOf(beside, 'tokenizer_config.json'), configOf(beside, 'special_tokens_map.json')];
  const found = ROLES.flatMap((role) => {
    const token = sources.map((source) => contentOf(source[`${role}_token`])).find((each) => each !== undefined);
    return token === undefined ? [] : [[role, token] as const];
  });
  return Object.fromEntries(found);
}

/** A token is written as its text, or as an object with its `content`. */
function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' ? (token as { content?: unknown } | null)?.content : token;
  return typeof content === 'string' && content !== '' ? content : undefined;
}

/** A file of JSON, empty where there is none. @throws TypeError */
export function configOf(beside: FilesBeside, name: (typeof BESIDE)[number]): Readonly<Record<string, unknown>> {
  const text = beside[name];
  if (text === undefined) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new TypeError(`its ${name} is not JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new TypeError(`its ${name} is no object`);
  return parsed as Readonly<Record<string, unknown>>;
}

/** The template that turns a conversation into text; a file of its own comes before the entry in the configuration. */
export function chatTemplateOf(beside: FilesBeside): string | undefined {
  const own = beside['chat_template.jinja'];
  if (own !== undefined) return own;
  const { chat_template: template } = configOf(beside, 'tokenizer_config.json');
  if (typeof template === 'string') return template;
  // Several by name: the one without a purpose of its own.
  if (!Array.isArray(template)) return undefined;
  const named = template as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const found = named.find(({ name }) => name === 'default')?.template;
  return typeof found === 'string' ? found : undefined;
}
