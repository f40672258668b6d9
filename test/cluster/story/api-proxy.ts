import { readFile } from 'node:fs/promises';
import { Agent, createServer, request as httpsRequest, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Certificate } from '../control-plane/pki.ts';

/** A write that the API server has answered. */
export interface ProxiedWrite {
  /** From 1, in the order of the answers. */
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

export interface ApiProxyOptions {
  /** URL of the API server. */
  readonly upstream: string;
  readonly caPath: string;
  /** What the proxy shows to its clients. */
  readonly serving: Certificate;
  /** Who it is to the API server: the identity of the process behind it. */
  readonly client: Certificate;
}

/**
 * Stands between one process and the API server, so that a test can see every write of the process and strike at an exact
 * moment: when the API server has carried out a write, and the process does not know it yet.
 */
export class ApiProxy {
  readonly url: string;
  readonly writes: ProxiedWrite[] = [];
  /** Called when a write was answered upstream, before the answer goes on. */
  onWrite: ((write: ProxiedWrite) => void) | null = null;
  /** While true, watches are cut and new ones refused. */
  #refusesWatches = false;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #upstream: URL;
  readonly #watchers = new Set<Socket>();

  private constructor(server: Server, agent: Agent, upstream: URL) {
    this.#server = server;
    this.#agent = agent;
    this.#upstream = upstream;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => this.#forward(request, response));
  }

  static async start({ upstream, caPath, serving, client }: ApiProxyOptions): Promise<ApiProxy> {
    const paths = [caPath, serving.certPath, serving.keyPath, client.certPath, client.keyPath];
    const [ca, cert, key, clientCert, clientKey] = await Promise.all(paths.map((path) => readFile(path)));
    const server = createServer({ cert, key, keepAliveTimeout: 60_000 });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const agent = new Agent({
      keepAlive: true,
      ca: ca as Buffer,
      cert: clientCert as Buffer,
      key: clientKey as Buffer,
    });
    return new ApiProxy(server, agent, new URL(upstream));
  }

  cutWatches(): void {
    this.#refusesWatches = true;
    for (const socket of this.#watchers) socket.destroy();
  }

  allowWatches(): void {
    this.#refusesWatches = false;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#agent.destroy();
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', url: path = '/', headers } = request;
    const isWatch = method === 'GET' && /[?&]watch=/.test(path);
    if (isWatch && this.#refusesWatches) {
      request.socket.destroy();
      return;
    }
    const { hostname, port } = this.#upstream;
    const upstream = httpsRequest(
      { hostname, port, method, path, headers: { ...headers, host: this.#upstream.host }, agent: this.#agent },
      (answer) => {
        const status = answer.statusCode ?? 502;
        if (method !== 'GET' && !path.includes('/events')) this.#note({ method, path, status });
        if (isWatch) {
          this.#watchers.add(request.socket);
          request.socket.once('close', () => this.#watchers.delete(request.socket));
        }
        if (response.destroyed) return;
        response.writeHead(status, answer.headers);
        answer.pipe(response);
        // The server died in the middle of it: `pipe` would leave the client waiting for ever.
        answer.once('close', () => {
          if (!answer.complete) response.destroy();
        });
      },
    );
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  #note({ method, path, status }: Omit<ProxiedWrite, 'number'>): void {
    const write = { number: this.writes.length + 1, method, path: path.split('?')[0] as string, status };
    this.writes.push(write);
    this.onWrite?.(write);
  }
}
