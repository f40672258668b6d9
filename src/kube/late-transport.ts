import {
  TransportError,
  type KubeRequest,
  type KubeResponse,
  type KubeTransport,
  type KubeWatch,
} from './transport.ts';

/** Takes the place of a transport that cannot be made yet: until then there is no answer. */
export class LateTransport implements KubeTransport {
  #transport: KubeTransport | null = null;

  become(transport: KubeTransport): void {
    this.#transport = transport;
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    return this.#made(request).request(request);
  }

  async watch(request: KubeRequest): Promise<KubeWatch> {
    return this.#made(request).watch(request);
  }

  #made({ method, path }: KubeRequest): KubeTransport {
    if (this.#transport === null) throw new TransportError(`${method} ${path}: not connected yet`);
    return this.#transport;
  }
}
