import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { pathOf, RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject, KubeRequest, KubeResponse, PatchType, WatchEvent } from '../../src/kube/transport.ts';
import type { ConformanceOptions, ConformanceTarget } from './api-conformance.ts';

/** What one test works with: a namespace of its own, and short ways to write, watch and compare. */
export async function createItem(
  target: ConformanceTarget,
  options: ConformanceOptions,
  skip: (reason: string) => never,
): Promise<Item> {
  const namespace = uniqueName();
  await new KubeClient(target.transport).create(RESOURCES.namespaces, null, { metadata: { name: namespace } });
  await options.prepareNamespace?.(namespace);
  return new Item(target, namespace, skip);
}

export function uniqueName(prefix = 'conf'): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}

export class Item {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly target: ConformanceTarget;
  readonly #skip: (reason: string) => never;
  readonly #aborted = new AbortController();
  readonly #cleanups: (() => Promise<unknown>)[] = [];

  constructor(target: ConformanceTarget, namespace: string, skip: (reason: string) => never) {
    this.target = target;
    this.client = new KubeClient(target.transport);
    this.namespace = namespace;
    this.#skip = skip;
  }

  /** Ends the watches and removes what lies outside the namespace. */
  async close(): Promise<void> {
    this.#aborted.abort(new Error('the test is over'));
    for (const cleanup of this.#cleanups.toReversed()) await cleanup().catch(() => {});
  }

  /** Something that {@link close} undoes. */
  cleanUp(cleanup: () => Promise<unknown>): void {
    this.#cleanups.push(cleanup);
  }

  /** Skips the rest of the test where the server cannot forget its history on request. */
  async compact(): Promise<void> {
    if (this.target.compact === undefined) this.#skip('compaction of etcd takes minutes');
    else await this.target.compact();
  }

  /** Skips the rest of the test where the clock of the server cannot be moved. */
  async passTime(ms: number): Promise<void> {
    if (this.target.passTime === undefined) this.#skip(`the clock cannot be moved by ${ms} ms`);
    else await this.target.passTime(ms);
  }

  send(request: KubeRequest): Promise<KubeResponse> {
    return this.target.transport.request(request);
  }

  path(type: ResourceType, name?: string, subresource?: string): string {
    return pathOf(type, this.namespace, name, subresource);
  }

  post(type: ResourceType, object: object): Promise<KubeResponse> {
    return this.send({ method: 'POST', path: this.path(type), body: object });
  }

  put(type: ResourceType, object: KubeObject, subresource?: string): Promise<KubeResponse> {
    return this.send({ method: 'PUT', path: this.path(type, object.metadata.name, subresource), body: object });
  }

  patch(
    type: ResourceType,
    name: string,
    patchType: PatchType,
    body: unknown,
    subresource?: string,
  ): Promise<KubeResponse> {
    return this.send({ method: 'PATCH', path: this.path(type, name, subresource), patchType, body });
  }

  remove(type: ResourceType, name: string, options?: object): Promise<KubeResponse> {
    const body = options && { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
    return this.send({ method: 'DELETE', path: this.path(type, name), ...(body && { body }) });
  }

  get(type: ResourceType, name: string): Promise<KubeObject> {
    return this.client.get(type, this.namespace, name);
  }

  create(type: ResourceType, object: object): Promise<KubeObject> {
    return this.client.create(type, this.namespace, object);
  }

  /** A pod that no scheduler takes. */
  createPod(spec: object = {}, metadata: object = {}): Promise<KubeObject> {
    return this.create(RESOURCES.pods, { metadata: { generateName: 'pod-', ...metadata }, spec: podSpec(spec) });
  }

  bind(name: string, node: string, metadata: object = {}): Promise<KubeResponse> {
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, ...metadata },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    return this.send({ method: 'POST', path: this.path(RESOURCES.pods, name, 'binding'), body });
  }

  /** A small object without status, controllers or defaults of note. */
  createLease(metadata: object = {}, spec: object = {}): Promise<KubeObject> {
    return this.create(RESOURCES.leases, { metadata: { generateName: 'lease-', ...metadata }, spec });
  }

  /** A watch of a kind in the namespace, read one event after the other. */
  async watch(type: ResourceType, query: Record<string, string> = {}): Promise<WatchReader> {
    const watch = await this.target.transport.watch({
      method: 'GET',
      path: this.path(type),
      query: { watch: '1', ...query },
      signal: this.#aborted.signal,
    });
    if (watch.status !== 200) throw new Error(`the watch was refused: ${JSON.stringify(watch.body)}`);
    return new WatchReader(watch.events);
  }

  /** The version of the collection, to watch from. */
  async version(type: ResourceType): Promise<string> {
    const { body } = await this.send({ method: 'GET', path: this.path(type) });
    return (body as KubeObject).metadata.resourceVersion as string;
  }
}

/** Reads a watch; bookmarks are passed over where they were not asked for by name. */
export class WatchReader {
  readonly #events: AsyncIterator<WatchEvent>;

  constructor(events: AsyncIterable<WatchEvent>) {
    this.#events = events[Symbol.asyncIterator]();
  }

  /** The next event, or null at the end. */
  async any(): Promise<WatchEvent | null> {
    const { done, value } = await this.#events.next();
    return done ? null : value;
  }

  async next(): Promise<WatchEvent> {
    for (;;) {
      const event = await this.any();
      if (event === null) throw new Error('the watch ended');
      if (event.type !== 'BOOKMARK') return event;
    }
  }

  /** Type and name of the next events. */
  async nextOf(count: number): Promise<string[]> {
    const seen: string[] = [];
    for (let i = 0; i < count; i++) {
      const { type, object } = await this.next();
      seen.push(`${type} ${object.metadata.name}`);
    }
    return seen;
  }
}

export function podSpec(spec: object = {}): object {
  return {
    schedulerName: 'nobody',
    automountServiceAccountToken: false,
    containers: [{ name: 'main', image: 'example.invalid/main:1' }],
    ...spec,
  };
}

/** The `Status` of a refused request; the reason is empty where the real server has none. */
export function expectRefusal(response: KubeResponse, code: number, reason: string, message: RegExp = /./): void {
  expect(response.body).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code });
  expect((response.body as { reason?: string }).reason ?? '').toBe(reason);
  expect((response.body as { message: string }).message).toMatch(message);
  expect(response.status).toBe(code);
}

/** The object of a request that succeeded. */
export function accepted(response: KubeResponse): KubeObject {
  if (response.status < 200 || response.status > 299) throw new Error(`refused: ${JSON.stringify(response.body)}`);
  return response.body as KubeObject;
}

export function versionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion);
}
