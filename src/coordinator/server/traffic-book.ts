/** Bytes exchanged with an island. */
export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** Bytes exchanged with each island: over connections that are gone, and over the one that is open. */
export class TrafficBook {
  readonly #past = new Map<string, Traffic>();
  readonly #open: (island: string) => Traffic | undefined;
  readonly #names: () => Iterable<string>;

  /** @param open what the present connection of an island has counted @param names of islands that have one */
  constructor(open: (island: string) => Traffic | undefined, names: () => Iterable<string>) {
    this.#open = open;
    this.#names = names;
  }

  of(island: string): Traffic {
    return sum([this.#past.get(island), this.#open(island)]);
  }

  all(): Traffic {
    const names = new Set([...this.#past.keys(), ...this.#names()]);
    return sum([...names].map((name) => this.of(name)));
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
