/** Whether islands may come. @returns what stands in the way, in a sentence that anybody may read; null: nothing */
export type Look = () => Promise<string | null>;

/** Anybody may ask as often as he likes: the stores are looked at once a second at most. */
const KEPT_MS = 1_000;
/** Longer than a store takes to say that it cannot be used. */
const DEADLINE_MS = 8_000;

/** Looks at what the coordinator needs, once for all who ask at the same time, and not for ever. */
export function readiness(look: Look, nowMs: () => number): Look {
  let newest: { readonly answer: Promise<string | null>; sinceMs: number } | undefined;
  return () => {
    if (newest !== undefined && nowMs() - newest.sinceMs < KEPT_MS) return newest.answer;
    const looked = { answer: inTime(look), sinceMs: Number.POSITIVE_INFINITY };
    // What is under way is waited for; what is there is kept for a while.
    void looked.answer.then(() => {
      looked.sinceMs = nowMs();
    });
    newest = looked;
    return looked.answer;
  };
}

async function inTime(look: Look): Promise<string | null> {
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve('a store does not answer'), DEADLINE_MS);
  try {
    return await Promise.race([look(), late.promise]);
  } catch {
    // The error names places, and is for the host: it is in the log of whoever wanted to write.
    return 'a store cannot be used';
  } finally {
    clearTimeout(timer);
  }
}
