import type { Origin } from '../../../energy/figure.ts';

/** Says once when a figure is no longer of the source that its owner named, and once when it is again. Why, the source itself has said. */
export function standInNotice(what: string, say: (sentence: string) => void): (origin: Origin | undefined) => void {
  let before: 'own' | 'stand-in' | 'unknown' = 'own';
  return (origin) => {
    const now = origin === undefined ? 'unknown' : origin.insteadOf === undefined ? 'own' : 'stand-in';
    if (now === before) return;
    before = now;
    if (origin === undefined) say(`${what} is not known.`);
    else if (now === 'own') say(`${what} comes from ${origin.method} again.`);
    else say(`${what}: ${origin.method} (${origin.quality}) stands in.`);
  };
}
