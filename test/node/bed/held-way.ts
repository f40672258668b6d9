import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A way to a server that can be held up: what is sent meanwhile, either way, arrives when it is let go. */
export class HeldWay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held = false;

  private constructor({ hostname, port }: URL) {
    this.#server = createServer((near) => {
      const far = connect({ host: hostname, port: Number(port) });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  /** Listens on the same address as the server of `url`, whose certificate is good for this way too. */
  static async to(url: string): Promise<HeldWay> {
    const target = new URL(url);
    const way = new HeldWay(target);
    way.#server.listen({ host: target.hostname, port: 0 });
    await once(way.#server, 'listening');
    return way;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  hold(): void {
    this.#held = true;
    for (const socket of this.#sockets) socket.pause();
  }

  letGo(): void {
    this.#held = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from
      .on('data', (chunk) => to.write(chunk))
      .on('end', () => to.end())
      .on('error', () => to.destroy())
      .on('close', () => this.#sockets.delete(from));
    if (this.#held) from.pause();
  }
}
