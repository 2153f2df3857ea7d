/**
 * Plain data behind proxies that count what is read of it, however deep: so a test can say how much of a state something looks at, the same on a slow machine as on a
 * fast one. What is made of it is plain again, and holds the proxies: it is to be watched anew.
 */
export class Watched {
  reads = 0;
  readonly #proxies = new WeakMap<object, object>();
  readonly #made = new WeakSet<object>();

  of<T extends object>(value: T): T {
    if (this.#made.has(value)) return value;
    const known = this.#proxies.get(value);
    if (known !== undefined) return known as T;
    const proxy = new Proxy(value, {
      get: (target, name) => {
        this.reads++;
        const child: unknown = Reflect.get(target, name);
        return typeof child === 'object' && child !== null ? this.of(child) : child;
      },
    });
    this.#proxies.set(value, proxy);
    this.#made.add(proxy);
    return proxy;
  }
}
