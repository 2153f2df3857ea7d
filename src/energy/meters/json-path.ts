/**
 * Where a number is in a JSON document: `a.b[0].c`, `Body.Data.Inverters.1.SOC`, `consumption[measurementType=net-consumption].wNow`,
 * `["em:0"].total_act_power`. A step is a name, an index, or the first element whose field has a value.
 */
export type Step =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'where'; readonly field: string; readonly value: string };

const MOST_STEPS = 20;
const STEP =
  /\.?([\p{L}\p{N}_-]+)|\[(\d{1,6})\]|\["([^"\]]{1,200})"\]|\[([\p{L}\p{N}_-]{1,100})=([\p{L}\p{N} _.:-]{1,200})\]/uy;

/** @returns undefined when the text is no path */
export function parsePath(text: string): readonly Step[] | undefined {
  const steps: Step[] = [];
  STEP.lastIndex = 0;
  for (let at = 0; at < text.length; at = STEP.lastIndex) {
    STEP.lastIndex = at;
    const match = STEP.exec(text);
    if (match === null || steps.length === MOST_STEPS) return undefined;
    const [whole, name, index, quoted, field, value] = match;
    if (name !== undefined && whole.startsWith('.') === (at === 0)) return undefined;
    if (name !== undefined || quoted !== undefined) steps.push({ kind: 'name', name: (name ?? quoted)! });
    else if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else steps.push({ kind: 'where', field: field!, value: value! });
  }
  return steps.length === 0 ? undefined : steps;
}

/** What is there; undefined where nothing is. */
export function at(document: unknown, steps: readonly Step[]): unknown {
  let node = document;
  for (const step of steps) {
    if (typeof node !== 'object' || node === null) return undefined;
    node = next(node, step);
  }
  return node;
}

function next(node: object, step: Step): unknown {
  if (step.kind === 'where') {
    const { field, value } = step;
    const has = (item: unknown): boolean =>
      typeof item === 'object' && item !== null && String(own(item, field)) === value;
    return Array.isArray(node) ? node.find(has) : undefined;
  }
  return own(node, step.kind === 'index' ? String(step.index) : step.name);
}

const own = (node: object, name: string): unknown =>
  Object.hasOwn(node, name) ? (node as Record<string, unknown>)[name] : undefined;
