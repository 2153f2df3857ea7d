/** Bytes exchanged with an island. */
export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/**
 * Bytes exchanged with each island: in earlier processes, over connections that are gone, and over the one that is open. Names that are no island's of the run
 * cost nothing to invent: what was exchanged under them counts in the sum alone.
 */
export class TrafficCounter {
  readonly #past: Map<string, Traffic>;
  readonly #open: (island: string) => Traffic | undefined;
  readonly #names: () => Iterable<string>;
  readonly #isIsland: (name: string) => boolean;
  #nameless: Traffic = { sentBytes: 0, receivedBytes: 0 };

  /**
   * @param open what the present connection of an island has counted
   * @param names of those that have one, islands of the run or about to be
   * @param isIsland whether the run knows an island of this name
   * @param earlier what earlier processes of the run counted
   */
  constructor(
    open: (island: string) => Traffic | undefined,
    names: () => Iterable<string>,
    isIsland: (name: string) => boolean,
    earlier: ReadonlyMap<string, Traffic> = new Map(),
  ) {
    this.#past = new Map(earlier);
    this.#open = open;
    this.#names = names;
    this.#isIsland = isIsland;
  }

  of(island: string): Traffic {
    return sum([this.#past.get(island), this.#open(island)]);
  }

  byIsland(): ReadonlyMap<string, Traffic> {
    const names = [...this.#allNames()].filter(this.#isIsland);
    return new Map(names.map((name) => [name, this.of(name)]));
  }

  all(): Traffic {
    return sum([this.#nameless, ...[...this.#allNames()].map((name) => this.of(name))]);
  }

  /** An island's connection is about to be forgotten. */
  keep(island: string): void {
    if (this.#isIsland(island)) this.#past.set(island, this.of(island));
    else this.#nameless = sum([this.#nameless, this.#open(island)]);
  }

  #allNames(): ReadonlySet<string> {
    return new Set([...this.#past.keys(), ...this.#names()]);
  }
}

function sum(parts: readonly (Traffic | undefined)[]): Traffic {
  let [sentBytes, receivedBytes] = [0, 0];
  for (const part of parts) {
    sentBytes += part?.sentBytes ?? 0;
    receivedBytes += part?.receivedBytes ?? 0;
  }
  return { sentBytes, receivedBytes };
}
