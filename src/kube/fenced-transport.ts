import type { Leadership } from '../ports/leadership.ts';
import { NotSentError, type KubeRequest, type KubeResponse, type KubeTransport, type KubeWatch } from './transport.ts';

/**
 * Lets writes through only while this replica leads. The question is asked again when the request is about to go onto the
 * wire: between the two the process may have been paused, or may have waited for a connection, and another replica leads.
 */
export class FencedTransport implements KubeTransport {
  readonly #transport: KubeTransport;
  readonly #leadership: Leadership;

  constructor(transport: KubeTransport, leadership: Leadership) {
    this.#transport = transport;
    this.#leadership = leadership;
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    if (request.method === 'GET') return this.#transport.request(request);
    const maySend = (): boolean => this.#leadership.term() !== null && request.maySend?.() !== false;
    if (!maySend()) throw new NotSentError(`${request.method} ${request.path}: held back`);
    return this.#transport.request({ ...request, maySend });
  }

  watch(request: KubeRequest): Promise<KubeWatch> {
    return this.#transport.watch(request);
  }
}
