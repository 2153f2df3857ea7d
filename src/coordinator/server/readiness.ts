import type { ServerOptions } from './options.ts';

/** How long an answer is cached. */
const GOOD_MS = 1_000;

/** Asks the stores whether they can be used. @returns why the run cannot go on now, without any address; null where it can */
export function readiness({
  store,
  blobs,
  nowMs,
}: Pick<ServerOptions, 'store' | 'blobs' | 'nowMs'>): () => Promise<string | null> {
  let asked: { readonly atMs: number; readonly answer: Promise<string | null> } | undefined;
  const ask = async (): Promise<string | null> => {
    const [events, tensors] = await Promise.allSettled([store.ping(), blobs.ping()]);
    if (events.status === 'rejected') return 'the store of events does not answer';
    return tensors.status === 'rejected' ? 'the store of blobs does not answer' : null;
  };
  return () => {
    if (asked === undefined || nowMs() - asked.atMs > GOOD_MS) asked = { atMs: nowMs(), answer: ask() };
    return asked.answer;
  };
}
