import { NAMESPACE_NAME_LABEL } from '../../domain/labels.ts';
import { DEPLOYED_SCOPE, isInScope } from '../../domain/webhook-scope.ts';
import { webhookScopeOf } from '../../kube/webhook-scope.ts';
import { apiVersionOf, RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import { admitPriority, admitTolerations, callWebhook } from './admission.ts';
import type { Draft, StoredObject } from './api-object.ts';
import { bindPod } from './binding.ts';
import { deleteAnswer, deleteObject, deleteOptionsOf } from './deletion.ts';
import { evictPod } from './eviction.ts';
import { isTracked, managedOnCreate } from './field-managers.ts';
import { copyJson, isRecord, textAt, type JsonRecord } from './json.ts';
import { listObjects } from './list.ts';
import type { NameGenerator } from './name-generator.ts';
import type { ObjectStore } from './object-store.ts';
import { applyPatch } from './patch.ts';
import { routeOf, type Route } from './route.ts';
import type { ServerHooks } from './server-options.ts';
import { badRequest, conflict, methodNotAllowed, notFound, unclassified } from './status-error.ts';
import { strategyOf } from './strategy.ts';
import { createObject, updateObject } from './writes.ts';

interface HandlerOptions {
  readonly clock: Clock;
  readonly store: ObjectStore;
  readonly names: NameGenerator;
  readonly hooks: ServerHooks;
}

/** How often a generated name is tried again when it is taken, as the real server does. */
const NAME_ATTEMPTS = 8;
const JSON_HEADERS = { 'content-type': 'application/json' };

/** Everything but watches: from a request to the answer. Refusals are thrown as `StatusError`. */
export class RequestHandler {
  readonly #clock: Clock;
  readonly #store: ObjectStore;
  readonly #names: NameGenerator;
  readonly #hooks: ServerHooks;

  constructor(options: HandlerOptions) {
    this.#clock = options.clock;
    this.#store = options.store;
    this.#names = options.names;
    this.#hooks = options.hooks;
  }

  /** What a fresh cluster has. */
  bootstrap(): void {
    for (const name of ['default', 'kube-system']) this.#seed(RESOURCES.namespaces, { metadata: { name } });
    for (const [name, value] of Object.entries({
      'system-cluster-critical': 2_000_000_000,
      'system-node-critical': 2_000_001_000,
    })) {
      this.#seed(RESOURCES.priorityClasses, { metadata: { name }, value });
    }
  }

  async handle(request: KubeRequest, user: string): Promise<KubeResponse> {
    if (['/readyz', '/livez', '/healthz'].includes(request.path)) return { status: 200, headers: {}, body: 'ok' };
    if (request.path === '/version')
      return ok({ major: '1', minor: '37', gitVersion: 'v1.37.2', platform: 'embedded' });
    const route = routeOf(request.path);
    if (route === null) return { status: 404, headers: {}, body: '404 page not found\n' };
    if (route.name === null) return this.#handleCollection(request, route, user);
    const { name } = route;
    const { method } = request;
    if (method === 'POST') return this.#postSubresource(request, route, name);
    if (method === 'PUT') return this.#put(request, route, name, user);
    if (method === 'PATCH') return ok(this.#patch(request, route, name, user));
    if (method === 'DELETE') return ok(this.#delete(request, route, name));
    this.#checkSubresource(route);
    return ok(this.#get(route, name));
  }

  async #handleCollection(request: KubeRequest, route: Route, user: string): Promise<KubeResponse> {
    const { type, namespace } = route;
    if (request.method === 'GET') {
      return ok(listObjects(this.#store.collection(type), namespace, request.query ?? {}, this.#store.version));
    }
    if (request.method !== 'POST' || type.namespaced !== (namespace !== null)) throw methodNotAllowed();
    const draft = this.#decode(request.body, type, namespace);
    return { status: 201, headers: JSON_HEADERS, body: await this.#create(draft, type, user, request) };
  }

  #get({ type, namespace }: Route, name: string): StoredObject {
    const object = this.#store.collection(type).get(namespace, name);
    if (object === undefined) throw notFound(type, name);
    return object;
  }

  async #create(sent: Draft, type: ResourceType, user: string, request: KubeRequest): Promise<StoredObject> {
    const { metadata } = sent;
    const dryRun = isDryRun(request);
    const manager = managerOf(request, user);
    if (metadata.resourceVersion) throw unclassified('resourceVersion should not be set on objects to be created');
    for (const name of ['resourceVersion', 'uid', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
      delete metadata[name];
    }
    metadata.name ??= '';
    // The webhook sees a pod that has no UID yet, and no name where that is generated.
    const draft = type === RESOURCES.pods ? await this.#admitPod(sent, user, manager, dryRun) : sent;
    const prefix = draft.metadata.generateName ?? '';
    if (draft.metadata.name === '' && prefix !== '') draft.metadata.name = this.#freeName(type, draft, prefix);
    draft.metadata.uid = this.#names.uid();
    strategyOf(type).applyDefaults(draft);
    return createObject({ ...this.#context(type, manager), dryRun }, draft);
  }

  /** A generated name; the last one, whether or not it is taken, when none was free. */
  #freeName(type: ResourceType, { metadata }: Draft, prefix: string): string {
    const collection = this.#store.collection(type);
    let name = this.#names.nameFrom(prefix);
    for (let attempt = 1; attempt < NAME_ATTEMPTS && collection.get(metadata.namespace ?? null, name); attempt++) {
      name = this.#names.nameFrom(prefix);
    }
    return name;
  }

  async #admitPod(sent: Draft, user: string, manager: string, dryRun: boolean): Promise<Draft> {
    strategyOf(RESOURCES.pods).applyDefaults(sent);
    delete sent.metadata.managedFields;
    if (isTracked(RESOURCES.pods, sent)) {
      const writer = { manager, subresource: null, nowMs: this.#clock.now() };
      sent.metadata.managedFields = managedOnCreate(sent, writer);
    }
    admitPriority(sent, this.#store);
    admitTolerations(sent);
    const { admitPod } = this.#hooks;
    const namespace = sent.metadata.namespace ?? '';
    if (admitPod === undefined || !this.#isReviewed(sent, namespace)) return sent;
    const draft = await callWebhook(admitPod, sent, { uid: this.#names.uid(), namespace, user, dryRun });
    admitPriority(draft, this.#store);
    return draft;
  }

  /** As kube-apiserver asks the selectors of the configuration; without one, those of deploy/webhook.yaml. */
  #isReviewed({ metadata }: Draft, namespace: string): boolean {
    const configuration = this.#store.collection(RESOURCES.mutatingWebhooks).list(null)[0];
    const scope = (configuration && webhookScopeOf(configuration)) ?? DEPLOYED_SCOPE;
    const labels = this.#store.collection(RESOURCES.namespaces).get(null, namespace)?.metadata.labels ?? {};
    const named = { ...labels, [NAMESPACE_NAME_LABEL]: namespace };
    return isInScope(scope, { labels: metadata.labels ?? {} }, named);
  }

  async #put(request: KubeRequest, route: Route, name: string, user: string): Promise<KubeResponse> {
    this.#checkSubresource(route);
    const { type, namespace } = route;
    const draft = this.#decode(request.body, type, namespace);
    if (!draft.metadata.name) draft.metadata.name = name;
    if (draft.metadata.name !== name) {
      throw badRequest(`the name of the object (${draft.metadata.name}) does not match the name on the URL (${name})`);
    }
    const old = this.#store.collection(type).get(namespace, name);
    const { uid } = draft.metadata;
    const mayCreate = strategyOf(type).createsOnUpdate && route.subresource === null;
    if (old === undefined && !mayCreate) throw notFound(type, name);
    if (uid && uid !== old?.metadata.uid) {
      const found = old?.metadata.uid ?? '';
      throw conflict(type, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${found}`);
    }
    if (old === undefined) {
      delete draft.metadata.resourceVersion;
      return { status: 201, headers: JSON_HEADERS, body: await this.#create(draft, type, user, request) };
    }
    const context = this.#context(type, managerOf(request, user));
    return ok(updateObject(context, old, draft, route.subresource === 'status'));
  }

  #patch(request: KubeRequest, route: Route, name: string, user: string): StoredObject {
    this.#checkSubresource(route);
    const old = this.#get(route, name);
    const draft = applyPatch(route.type, old, request.patchType ?? 'merge', copyJson(request.body));
    const context = this.#context(route.type, managerOf(request, user));
    return updateObject(context, old, draft, route.subresource === 'status');
  }

  #delete(request: KubeRequest, route: Route, name: string): unknown {
    if (route.subresource !== null) throw methodNotAllowed();
    const options = deleteOptionsOf(request.body, request.query);
    const object = this.#get(route, name);
    return deleteAnswer(route.type, deleteObject(this.#store, route.type, object, options, this.#clock.now()));
  }

  #postSubresource(request: KubeRequest, route: Route, name: string): KubeResponse {
    if (route.type !== RESOURCES.pods) throw methodNotAllowed();
    const pod = (): StoredObject => this.#get(route, name);
    if (route.subresource === 'binding') bindPod(this.#store, pod(), copyJson(request.body), this.#clock.now());
    else if (route.subresource === 'eviction') evictPod(this.#store, pod(), copyJson(request.body), this.#clock.now());
    else throw methodNotAllowed();
    return { status: 201, headers: JSON_HEADERS, body: success() };
  }

  #decode(body: unknown, type: ResourceType, namespace: string | null): Draft {
    const object: unknown = copyJson(body);
    if (!isRecord(object)) throw badRequest('the body is not an object');
    const [apiVersion, kind] = [textAt(object, 'apiVersion'), textAt(object, 'kind')];
    if ((apiVersion !== '' && apiVersion !== apiVersionOf(type)) || (kind !== '' && kind !== type.kind)) {
      throw badRequest(`${kind} in version "${apiVersion}" cannot be handled as a ${type.kind}`);
    }
    const metadata: JsonRecord = isRecord(object['metadata']) ? object['metadata'] : {};
    if (namespace !== null && (metadata['namespace'] ?? namespace) !== namespace) {
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    if (namespace === null) delete metadata['namespace'];
    else metadata['namespace'] = namespace;
    return { ...object, apiVersion: apiVersionOf(type), kind: type.kind, metadata } as unknown as Draft;
  }

  #checkSubresource({ type, subresource }: Route): void {
    if (subresource === null) return;
    if (subresource !== 'status' || !strategyOf(type).hasStatus) throw methodNotAllowed();
  }

  #context(type: ResourceType, manager?: string): Parameters<typeof createObject>[0] {
    return {
      store: this.#store,
      type,
      hooks: this.#hooks,
      nowMs: this.#clock.now(),
      ...(manager !== undefined && { manager }),
    };
  }

  #seed(type: ResourceType, object: JsonRecord): void {
    const draft = this.#decode(object, type, null);
    draft.metadata.uid = this.#names.uid();
    strategyOf(type).applyDefaults(draft);
    createObject({ ...this.#context(type), hooks: {} }, draft);
  }
}

/** What the client calls itself; without that, the last part of its user's name, as each client of ours has a user of its own. */
function managerOf({ query }: KubeRequest, user: string): string {
  return query?.['fieldManager'] ?? user.slice(user.lastIndexOf(':') + 1);
}

/** Of creates only: nothing of ours asks for another. */
function isDryRun({ query }: KubeRequest): boolean {
  return query?.['dryRun'] === 'All';
}

function ok(body: unknown): KubeResponse {
  return { status: 200, headers: JSON_HEADERS, body };
}

function success(): JsonRecord {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}
