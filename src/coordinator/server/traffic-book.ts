/** Bytes exchanged with an island. */
export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** Bytes exchanged with each island: in earlier processes, over connections that are gone, and over the one that is open. */
export class TrafficBook {
  readonly #past: Map<string, Traffic>;
  readonly #open: (island: string) => Traffic | undefined;
  readonly #names: () => Iterable<string>;

  /**
   * @param open what the present connection of an island has counted
   * @param names of islands that have one
   * @param earlier what earlier processes of the run counted
   */
  constructor(
    open: (island: string) => Traffic | undefined,
    names: () => Iterable<string>,
    earlier: ReadonlyMap<string, Traffic> = new Map(),
  ) {
    this.#past = new Map(earlier);
    this.#open = open;
    this.#names = names;
  }

  of(island: string): Traffic {
    return sum([this.#past.get(island), this.#open(island)]);
  }

  byIsland(): ReadonlyMap<string, Traffic> {
    const names = new Set([...this.#past.keys(), ...this.#names()]);
    return new Map([...names].map((name) => [name, this.of(name)]));
  }

  all(): Traffic {
    return sum([...this.byIsland().values()]);
  }

  /** An island's connection is about to be forgotten. */
  keep(island: string): void {
    this.#past.set(island, this.of(island));
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
