import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import {
  TransportError,
  type KubeRequest,
  type KubeResponse,
  type KubeTransport,
  type KubeWatch,
} from '../../kube/transport.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { StoredObject } from './api-object.ts';
import { RequestHandler } from './request-handler.ts';
import { NameGenerator } from './name-generator.ts';
import { ObjectStore, type StoreBackup } from './object-store.ts';
import { routeOf } from './route.ts';
import type { ApiServerOptions, ServerHooks, ServerRequest, ServerWrite } from './server-options.ts';
import { methodNotAllowed, StatusError } from './status-error.ts';
import { Watcher } from './watcher.ts';

const DEFAULT_USER = 'system:admin';
const NO_HEADERS = { 'content-type': 'application/json' };

/**
 * A Kubernetes API server in memory: all kinds of `RESOURCES`, by their paths, with the behaviour of kube-apiserver 1.37
 * where Reprieve relies on it. `test/conformance` holds both to it.
 *
 * It lives by the clock it is given and otherwise by promises alone, so that virtual time works. Requests are atomic:
 * whatever a request does to the store happens at one moment.
 *
 * @example
 * const server = new ApiServer({ clock: new VirtualClock() });
 * const client = new KubeClient(server.transport('system:serviceaccount:reprieve:reprieve'));
 */
export class ApiServer implements KubeTransport {
  /** Webhook, schema validation and faults; may be changed at any time. */
  readonly hooks: ServerHooks;
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #bookmarkEveryMs: number;
  readonly #store: ObjectStore;
  readonly #handler: RequestHandler;
  readonly #watchers = new Set<Watcher>();
  /** The request whose write takes effect now. */
  #served: ServerWrite['by'] = null;

  constructor(options: ApiServerOptions) {
    this.hooks = {
      ...(options.admitPod && { admitPod: options.admitPod }),
      ...(options.validate && { validate: options.validate }),
      ...(options.intercept && { intercept: options.intercept }),
      ...(options.written && { written: options.written }),
    };
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#bookmarkEveryMs = options.bookmarkEveryMs ?? 60_000;
    this.#store = new ObjectStore(options.historyLimit ?? 10_000);
    const names = new NameGenerator(options.seed ?? 1);
    this.#handler = new RequestHandler({ clock: this.#clock, store: this.#store, names, hooks: this.hooks });
    this.#handler.bootstrap();
    for (const kind of Object.values(RESOURCES)) {
      this.#store.collection(kind).subscribe((event) => this.hooks.written?.({ ...event, kind, by: this.#served }));
    }
  }

  request(request: KubeRequest): Promise<KubeResponse> {
    return this.#request(request, DEFAULT_USER);
  }

  watch(request: KubeRequest): Promise<KubeWatch> {
    return this.#watch(request, DEFAULT_USER);
  }

  /** A connection in the name of `user`, which the webhook and `intercept` get to see. */
  transport(user: string = DEFAULT_USER): KubeTransport {
    return {
      request: (request) => this.#request(request, user),
      watch: (request) => this.#watch(request, user),
    };
  }

  /** The version of the latest write. */
  get resourceVersion(): string {
    return String(this.#store.version);
  }

  /** How many watches are open. */
  get watchCount(): number {
    return this.#watchers.size;
  }

  /** Forgets all history, as etcd's compaction does: a watch or a continued list from before gets a 410. */
  compact(): void {
    this.#store.compact();
  }

  /** All that is stored, for {@link restore}. */
  backup(): StoreBackup {
    return this.#store.backup();
  }

  /** etcd is restored from a backup, and the server restarted: versions begin again where they were then. */
  restore(backup: StoreBackup): void {
    this.#store.restore(backup);
    this.closeWatches(new TransportError('the API server was restarted'));
  }

  /** Ends all open watches; with an error as broken connections do. */
  closeWatches(error: TransportError | null = null): void {
    for (const watcher of this.#watchers) watcher.close(error);
  }

  /** Objects of one kind as they are stored, for assertions and for assembling a simulation; frozen. */
  list(type: ResourceType, namespace: string | null = null): readonly StoredObject[] {
    return this.#store.collection(type).list(namespace);
  }

  async #request(request: KubeRequest, user: string): Promise<KubeResponse> {
    const intercepted = await this.#arrive({ ...request, user, isWatch: false });
    if (typeof intercepted === 'object' && intercepted !== null) return intercepted;
    const response = this.#dated(await this.#answer(() => this.#serve(request, user)));
    if (intercepted === 'reset-after') throw new TransportError(`${request.method} ${request.path}: connection reset`);
    request.signal?.throwIfAborted();
    return response;
  }

  /** Whatever does not wait for the webhook takes effect within this call. */
  #serve(request: KubeRequest, user: string): Promise<KubeResponse> {
    this.#served = { ...request, user };
    const response = this.#handler.handle(request, user);
    this.#served = null;
    return response;
  }

  async #watch(request: KubeRequest, user: string): Promise<KubeWatch> {
    const intercepted = await this.#arrive({ ...request, user, isWatch: true });
    if (typeof intercepted === 'object' && intercepted !== null) return { ...intercepted, events: nothing() };
    if (intercepted === 'reset-after') throw new TransportError(`watch of ${request.path}: connection reset`);
    let watcher: Watcher | null = null;
    const response = await this.#answer(() => {
      watcher = this.#openWatch(request);
      return Promise.resolve({ status: 200, headers: NO_HEADERS, body: undefined });
    });
    const opened = watcher as Watcher | null;
    const { headers } = this.#dated(response);
    if (opened === null) return { ...response, headers, events: nothing() };
    return { status: 200, headers, events: opened.events };
  }

  /** As every answer of a Go server. */
  #dated(response: KubeResponse): KubeResponse {
    return { ...response, headers: { ...response.headers, date: new Date(this.#clock.now()).toUTCString() } };
  }

  #openWatch(request: KubeRequest): Watcher {
    const route = routeOf(request.path);
    if (route === null || route.name !== null) throw methodNotAllowed();
    const watcher = new Watcher({
      clock: this.#clock,
      collection: this.#store.collection(route.type),
      namespace: route.namespace,
      query: request.query ?? {},
      version: () => this.#store.version,
      bookmarkEveryMs: this.#bookmarkEveryMs,
      signal: request.signal,
      onClose: (closed) => this.#watchers.delete(closed),
    });
    if (watcher.isOpen) this.#watchers.add(watcher);
    return watcher;
  }

  /** The way to the server: latency, then whatever a test has in mind for the request. */
  async #arrive(request: ServerRequest): Promise<KubeResponse | 'reset-after' | null> {
    request.signal?.throwIfAborted();
    // Even a server without latency answers later and not within the call.
    if (this.#latencyMs > 0) await sleep(this.#clock, this.#latencyMs, request.signal);
    else await Promise.resolve();
    const interception = (await this.hooks.intercept?.(request)) ?? null;
    request.signal?.throwIfAborted();
    if (interception === 'reset') throw new TransportError(`${request.method} ${request.path}: connection reset`);
    return interception;
  }

  async #answer(serve: () => Promise<KubeResponse>): Promise<KubeResponse> {
    try {
      return await serve();
    } catch (error) {
      if (error instanceof StatusError) return error.response;
      throw error;
    }
  }
}

async function* nothing(): AsyncGenerator<never> {}
