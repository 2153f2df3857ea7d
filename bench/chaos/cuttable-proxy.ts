import { connect, createServer, type Server, type Socket } from 'node:net';

/** An island's way to the coordinator, which can be cut: a TCP proxy that passes everything on until then. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  private constructor(port: number) {
    this.#server = createServer((client) => {
      if (this.#cut) {
        client.destroy();
        return;
      }
      const coordinator = connect(port, '127.0.0.1');
      for (const socket of [client, coordinator]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          coordinator.destroy();
        });
      }
      client.pipe(coordinator).pipe(client);
    });
  }

  static async open(port: number): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(port);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
