import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Ports that a new connection may go to, the best first. */
type Backends = () => readonly number[];

/**
 * What a Service does: each new connection goes to one of the pods it selects now; connections that exist stay where they are.
 * A backend that refuses is passed over.
 */
export class Service {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #hasEndpoints = true;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(port: number, backends: Backends): Promise<Service> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const service = new Service(server);
    server.on('connection', (client) => service.#forward(client, service.#hasEndpoints ? [...backends()] : []));
    return service;
  }

  /** False: as if none of its pods were ready; connections that exist end. */
  setEndpoints(exist: boolean): void {
    this.#hasEndpoints = exist;
    if (!exist) this.#endAll();
  }

  async close(): Promise<void> {
    this.#endAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #endAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #forward(client: Socket, candidates: number[]): void {
    this.#keep(client);
    const port = candidates.shift();
    if (port === undefined) {
      client.destroy();
      return;
    }
    const backend = connect({ host: '127.0.0.1', port });
    this.#keep(backend);
    backend.once('connect', () => {
      backend.pipe(client);
      client.pipe(backend);
      client.once('close', () => backend.destroy());
      backend.once('close', () => client.destroy());
    });
    backend.once('error', () => {
      if (backend.connecting || backend.bytesWritten === 0) this.#forward(client, candidates);
      else client.destroy();
    });
  }

  #keep(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
