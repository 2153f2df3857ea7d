/** Delivers items in their order of arrival, although some are checked asynchronously. */
export class InOrder<T> {
  readonly #deliver: (item: T) => void;
  readonly #failed: (error: unknown) => void;
  #pending = 0;
  #last: Promise<void> = Promise.resolve();

  /** @param failed told what `deliver` threw, and why an item never came */
  constructor(deliver: (item: T) => void, failed: (error: unknown) => void) {
    this.#deliver = deliver;
    this.#failed = failed;
  }

  put(item: T | Promise<T>): void {
    if (this.#pending === 0 && !(item instanceof Promise)) return this.#now(item);
    this.#pending++;
    this.#last = this.#last
      .then(() => item)
      .then((ready) => this.#now(ready), this.#failed)
      .then(() => void this.#pending--);
  }

  #now(item: T): void {
    try {
      this.#deliver(item);
    } catch (error) {
      this.#failed(error);
    }
  }
}
