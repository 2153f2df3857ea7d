/** First in, first out, whatever the length: an event of a run with many islands and fragments decides a million things at once. */
export class Queue<T> {
  #items: T[] = [];
  #next = 0;

  get length(): number {
    return this.#items.length - this.#next;
  }

  add(items: Iterable<T>): void {
    for (const item of items) this.#items.push(item);
  }

  /** @returns undefined when there is none */
  take(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#next++];
    // Taken items are dropped when they are half of all, so that each item is moved once on average.
    if (2 * this.#next >= this.#items.length) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#next = 0;
  }
}
