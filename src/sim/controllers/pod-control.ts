import { isNotFound } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import { semanticallySame } from '../api-server/json.ts';
import type { ClusterInformers } from './cluster-informers.ts';
import { Expectations } from './expectations.ts';
import { controllerRefOf, isDeleting, keyOf, uidOf } from './objects.ts';

/** What every controller is given. */
export interface ControllerContext {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly informers: ClusterInformers;
  readonly podControl: PodControl;
  /** Resolves when all informers are filled. */
  readonly ready: Promise<void>;
}

/** A running controller. */
export interface Controller {
  stop(): void;
}

/** Creates and deletes pods for their owners, and knows when the informer has caught up with that. */
export class PodControl {
  readonly #client: KubeClient;
  readonly #expectations: Expectations;

  constructor(client: KubeClient, clock: Clock, informers: ClusterInformers) {
    this.#client = client;
    this.#expectations = new Expectations(clock);
    informers.pods.onChange((before, after) => {
      const pod = after ?? before;
      const owner = controllerRefOf(pod)?.uid;
      if (pod === null || owner === undefined) return;
      if (before === null) this.#expectations.creationSeen(owner);
      if (after === null || isDeleting(after)) this.#expectations.deletionSeen(owner, uidOf(pod));
    });
  }

  /** False while the informer does not show yet what was done for the owner with this UID. */
  isUpToDate(ownerUid: string): boolean {
    return this.#expectations.areMet(ownerUid);
  }

  forget(ownerUid: string): void {
    this.#expectations.forget(ownerUid);
  }

  async create(owner: KubeObject, pod: object): Promise<void> {
    const uid = uidOf(owner);
    this.#expectations.expectCreation(uid);
    try {
      await this.#client.create(RESOURCES.pods, owner.metadata.namespace ?? null, pod);
    } catch (error) {
      this.#expectations.creationSeen(uid);
      throw error;
    }
  }

  /** A pod that is gone already, or is another one of that name by now, is as good as deleted. */
  async delete(owner: KubeObject, pod: KubeObject): Promise<void> {
    const [ownerUid, uid] = [uidOf(owner), uidOf(pod)];
    this.#expectations.expectDeletion(ownerUid, uid);
    try {
      await this.#client.delete(RESOURCES.pods, pod.metadata.namespace ?? null, pod.metadata.name, { uid });
    } catch (error) {
      this.#expectations.deletionSeen(ownerUid, uid);
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Calls `add` with the key of the owner of `kind`, for a change of an object that may have one. */
export function enqueueOwner(
  kind: string,
  add: (key: string) => void,
): (before: KubeObject | null, after: KubeObject | null) => void {
  return (before, after) => {
    const keys = new Set<string>();
    for (const object of [before, after]) {
      const owner = controllerRefOf(object);
      if (object !== null && owner?.kind === kind) keys.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
    }
    for (const key of keys) add(key);
  };
}

/** Calls `add` with the key of the changed object itself. */
export function enqueueSelf(add: (key: string) => void): (before: KubeObject | null, after: KubeObject | null) => void {
  return (before, after) => {
    const object = after ?? before;
    if (object !== null) add(keyOf(object));
  };
}

/** Writes a status where it differs from what the informer shows. Keys that `status` does not have are left alone. */
export async function updateStatus(
  client: KubeClient,
  type: (typeof RESOURCES)[keyof typeof RESOURCES],
  object: KubeObject,
  status: Readonly<Record<string, unknown>>,
): Promise<void> {
  const current = (object['status'] ?? {}) as Readonly<Record<string, unknown>>;
  if (Object.entries(status).every(([name, value]) => isSame(current[name], value))) return;
  const { namespace = null, name, resourceVersion } = object.metadata;
  // Counters are derived from what the informer shows: a newer object makes them wrong.
  const patch = { metadata: { resourceVersion }, status };
  try {
    await client.patch(type, namespace, name, patch, { type: 'merge', subresource: 'status' });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** The API server leaves zeros and empty lists out, so that they come back as nothing. */
function isSame(current: unknown, wanted: unknown): boolean {
  return semanticallySame(current === 0 ? null : current, wanted === 0 ? null : wanted);
}
