import type { Machine, Peer } from './peer.ts';

/** What each island computes with, or computed with when it was last there. */
export class Machines {
  readonly #gone: Map<string, Machine>;
  readonly #isIsland: (name: string) => boolean;

  /** @param isIsland whether the run knows an island of this name: others cost nothing to invent */
  constructor(earlier: ReadonlyMap<string, Machine> | undefined, isIsland: (name: string) => boolean) {
    this.#gone = new Map(earlier);
    this.#isIsland = isIsland;
  }

  /** Its connection is about to be forgotten. */
  keep({ name, machine }: Peer): void {
    if (name !== undefined && machine !== undefined && this.#isIsland(name)) this.#gone.set(name, machine);
  }

  with(peers: Iterable<Peer>): ReadonlyMap<string, Machine> {
    const all = new Machines(this.#gone, this.#isIsland);
    for (const peer of peers) all.keep(peer);
    return all.#gone;
  }
}
