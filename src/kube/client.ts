import { apiErrorOf } from './api-error.ts';
import { apiVersionOf, pathOf, type ResourceType } from './resources.ts';
import type { KubeObject, KubeRequest, KubeTransport, PatchType } from './transport.ts';

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface PatchOptions {
  readonly type: PatchType;
  /** Absent: the object itself. `approval` is one of CertificateSigningRequests. */
  readonly subresource?: 'status' | 'approval';
}

export interface DeleteOptions {
  /** The delete fails with 409 unless the stored object has this UID. */
  readonly uid?: string;
  /** The delete fails with 409 unless the stored object is at this version. */
  readonly resourceVersion?: string;
  readonly gracePeriodSeconds?: number;
  /** What the garbage collector does to objects that name this one as their owner: `Orphan` removes the reference and keeps them. */
  readonly propagationPolicy?: 'Orphan';
  /** The server gives the delete up after this, and it has no effect. */
  readonly timeoutMs?: number;
  /** See {@link KubeRequest.maySend}. */
  readonly maySend?: () => boolean;
}

/**
 * Reads and writes of single objects, raw JSON in and out. Every method rejects with `KubeApiError` for an answer that is
 * not a success, and with `TransportError` when there was none.
 */
export class KubeClient {
  readonly #transport: KubeTransport;

  constructor(transport: KubeTransport) {
    this.#transport = transport;
  }

  get(type: ResourceType, namespace: string | null, name: string): Promise<KubeObject> {
    return this.#send(`reading ${type.plural} "${name}"`, { method: 'GET', path: pathOf(type, namespace, name) });
  }

  /** One unpaged list; for small collections and narrow selectors. Large ones go through the reflector. */
  async list(type: ResourceType, options: ListOptions = {}): Promise<readonly KubeObject[]> {
    const query: Record<string, string> = {};
    if (options.labelSelector) query['labelSelector'] = options.labelSelector;
    if (options.fieldSelector) query['fieldSelector'] = options.fieldSelector;
    const path = pathOf(type, options.namespace);
    const list = await this.#send(`listing ${type.plural}`, { method: 'GET', path, query });
    return (list['items'] as KubeObject[] | undefined) ?? [];
  }

  /** Every object of a collection, read in pages. */
  async *pages(type: ResourceType): AsyncIterable<KubeObject> {
    const query: Record<string, string> = { limit: '500' };
    for (;;) {
      const list = await this.#send(`listing ${type.plural}`, { method: 'GET', path: pathOf(type), query });
      yield* (list['items'] as KubeObject[] | undefined) ?? [];
      const { continue: next = '' } = list.metadata as { readonly continue?: string };
      if (next === '') return;
      query['continue'] = next;
    }
  }

  create(type: ResourceType, namespace: string | null, object: object): Promise<KubeObject> {
    const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
    return this.#send(`creating ${type.plural}`, { method: 'POST', path: pathOf(type, namespace), body });
  }

  /** The object as {@link create} would store it, after all of admission; nothing is stored. */
  createDryRun(type: ResourceType, namespace: string, object: object, signal: AbortSignal): Promise<KubeObject> {
    const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
    const request = { method: 'POST', path: pathOf(type, namespace), query: { dryRun: 'All' }, body, signal } as const;
    return this.#send(`creating ${type.plural} as a dry run`, request);
  }

  patch(
    type: ResourceType,
    namespace: string | null,
    name: string,
    patch: unknown,
    options: PatchOptions,
  ): Promise<KubeObject> {
    const path = pathOf(type, namespace, name, options.subresource);
    return this.#send(`patching ${type.plural} "${name}"`, {
      method: 'PATCH',
      path,
      body: patch,
      patchType: options.type,
    });
  }

  /** PUT of the whole object; its `metadata.resourceVersion`, where present, must be the stored one. */
  replace(
    type: ResourceType,
    namespace: string | null,
    object: KubeObject,
    subresource?: 'status',
  ): Promise<KubeObject> {
    const name = object.metadata.name;
    const path = pathOf(type, namespace, name, subresource);
    const body = { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
    return this.#send(`replacing ${type.plural} "${name}"`, { method: 'PUT', path, body });
  }

  /** The answer is the object with its deletionTimestamp, or a `Status` when it is gone at once. */
  delete(type: ResourceType, namespace: string | null, name: string, options: DeleteOptions = {}): Promise<KubeObject> {
    const preconditions: Record<string, string> = {};
    if (options.uid !== undefined) preconditions['uid'] = options.uid;
    if (options.resourceVersion !== undefined) preconditions['resourceVersion'] = options.resourceVersion;
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(Object.keys(preconditions).length > 0 && { preconditions }),
      ...(options.gracePeriodSeconds !== undefined && { gracePeriodSeconds: options.gracePeriodSeconds }),
      ...(options.propagationPolicy && { propagationPolicy: options.propagationPolicy }),
    };
    return this.#send(`deleting ${type.plural} "${name}"`, {
      method: 'DELETE',
      path: pathOf(type, namespace, name),
      body,
      ...(options.timeoutMs !== undefined && { query: { timeout: `${options.timeoutMs}ms` } }),
      ...(options.maySend && { maySend: options.maySend }),
    });
  }

  async #send(doing: string, request: KubeRequest): Promise<KubeObject> {
    const response = await this.#transport.request(request);
    if (response.status < 200 || response.status > 299) throw apiErrorOf(doing, response);
    return response.body as KubeObject;
  }
}
