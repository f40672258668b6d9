import type { ConditionOf } from '../domain/condition-reasons.ts';
import { isNotFound, KubeApiError } from '../kube/api-error.ts';
import { KubeClient, type DeleteOptions } from '../kube/client.ts';
import type { PodCheckpointStatus } from '../kube/crd/pod-checkpoint.ts';
import { secondsTimestampOf } from '../kube/project/time.ts';
import { RESOURCES, type ResourceType } from '../kube/resources.ts';
import { TransportError, type KubeObject, type KubeTransport } from '../kube/transport.ts';
import { sleep, type Clock } from '../ports/clock.ts';

const RETRY_MS = 500;
/**
 * A server that has just started refuses what it does not know yet: roles (403), custom resources (404 without a name). A token
 * that has run out (401) is replaced by the kubelet.
 */
const TRANSIENT: ReadonlySet<number> = new Set([401, 403, 404, 429]);

/** What a kubelet says of its pods, beside our own conditions. */
export interface KubeletCondition {
  readonly type: 'Initialized' | 'ContainersReady' | 'Ready';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Fields of a PodCheckpoint's status; null removes one. */
export type StatusPatch = Partial<Omit<PodCheckpointStatus, 'progress'>> & {
  readonly progress?: PodCheckpointStatus['progress'] | null;
};

export interface PodPatch {
  readonly status?: Readonly<Record<string, unknown>>;
  readonly conditions?: readonly (KubeletCondition | ConditionOf<'Pod'>)[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Writes of kubelets and agents: tried again until there is an answer; null where the object is gone or is another one.
 * They end with `stop`, by throwing its reason: what is dead asks no more.
 */
export class NodeApi {
  readonly client: KubeClient;
  readonly #clock: Clock;
  readonly #stopped: AbortSignal;

  /** After `stopped` nothing is tried again, and what had no answer counts as gone. */
  constructor(transport: KubeTransport, clock: Clock, stopped: AbortSignal) {
    this.client = new KubeClient(transport);
    this.#clock = clock;
    this.#stopped = stopped;
  }

  read(type: ResourceType, namespace: string | null, name: string, stop?: AbortSignal): Promise<KubeObject | null> {
    return this.#answered(() => this.client.get(type, namespace, name), stop);
  }

  /** Status and, since pods/status lets them through, annotations; conditions are merged by type, others' stay. */
  patchPod(pod: KubeObject, patch: PodPatch, stop?: AbortSignal): Promise<KubeObject | null> {
    return this.#patchPod(pod, patch, null, stop);
  }

  /**
   * Patches the pod as `decide` says from its current version, and only if it is still at that version; looks again
   * otherwise. Null where `decide` says null, or the pod is gone.
   */
  patchPodLocked(
    pod: KubeObject,
    decide: (current: KubeObject) => PodPatch | null,
    stop?: AbortSignal,
  ): Promise<KubeObject | null> {
    return this.#locked(
      RESOURCES.pods,
      pod,
      (current) => {
        const patch = decide(current);
        return patch && this.#patchPod(current, patch, current.metadata.resourceVersion ?? null, stop);
      },
      stop,
    );
  }

  deletePod(pod: KubeObject, options: DeleteOptions, stop?: AbortSignal): Promise<KubeObject | null> {
    const { namespace = null, name } = pod.metadata;
    return this.#answered(() => this.client.delete(RESOURCES.pods, namespace, name, options), stop);
  }

  patchNode(name: string, status: object): Promise<KubeObject | null> {
    const options = { type: 'strategic', subresource: 'status' } as const;
    return this.#answered(() => this.client.patch(RESOURCES.nodes, null, name, { status }, options));
  }

  /** Sets fields of a PodCheckpoint's status and its conditions. */
  patchCheckpoint(
    checkpoint: KubeObject,
    fields: StatusPatch,
    conditions: readonly ConditionOf<'PodCheckpoint'>[],
    stop?: AbortSignal,
  ): Promise<KubeObject | null> {
    const lastTransitionTime = this.timestamp();
    const changed = new Set<string>(conditions.map(({ type }) => type));
    return this.#locked(
      RESOURCES.podCheckpoints,
      checkpoint,
      (current) => {
        const { generation = 1, uid, resourceVersion } = current.metadata;
        const status = (current['status'] ?? {}) as PodCheckpointStatus;
        const merged = [
          ...(status.conditions ?? []).filter(({ type }) => !changed.has(type)),
          ...conditions.map((condition) => ({ ...condition, lastTransitionTime, observedGeneration: generation })),
        ];
        // The merge patch of a custom resource replaces the whole list: it needs the lock where a pod's does not.
        const body = { metadata: { uid, resourceVersion }, status: { ...fields, conditions: merged } };
        return this.#patchCheckpoint(current, body, 'status', stop);
      },
      stop,
    );
  }

  async removeFinalizer(checkpoint: KubeObject, finalizer: string, stop?: AbortSignal): Promise<void> {
    await this.#locked(
      RESOURCES.podCheckpoints,
      checkpoint,
      (current) => {
        const { finalizers = [], uid, resourceVersion } = current.metadata;
        if (!finalizers.includes(finalizer)) return null;
        const others = finalizers.filter((candidate) => candidate !== finalizer);
        return this.#patchCheckpoint(
          current,
          { metadata: { uid, resourceVersion, finalizers: others } },
          undefined,
          stop,
        );
      },
      stop,
    );
  }

  timestamp(): string {
    return secondsTimestampOf(this.#clock.now());
  }

  #patchPod(
    pod: KubeObject,
    patch: PodPatch,
    resourceVersion: string | null,
    stop: AbortSignal | undefined,
  ): Promise<KubeObject | null> {
    const { namespace = null, name, uid } = pod.metadata;
    const lastTransitionTime = this.timestamp();
    const conditions = patch.conditions?.map((condition) => ({ ...condition, lastTransitionTime }));
    const body = {
      metadata: {
        uid,
        ...(resourceVersion !== null && { resourceVersion }),
        ...(patch.annotations && { annotations: patch.annotations }),
      },
      status: { ...patch.status, ...(conditions && { conditions }) },
    };
    const options = { type: 'strategic', subresource: 'status' } as const;
    return this.#answered(() => this.client.patch(RESOURCES.pods, namespace, name, body, options), stop);
  }

  #patchCheckpoint(
    checkpoint: KubeObject,
    body: object,
    subresource: 'status' | undefined,
    stop: AbortSignal | undefined,
  ): Promise<KubeObject | null> {
    const { namespace = null, name } = checkpoint.metadata;
    const options = { type: 'merge', ...(subresource && { subresource }) } as const;
    return this.#answered(() => this.client.patch(RESOURCES.podCheckpoints, namespace, name, body, options), stop);
  }

  /** `write` is given the current version and is refused (null) where that no longer is; null from it at once ends this. */
  async #locked(
    type: ResourceType,
    { metadata }: KubeObject,
    write: (current: KubeObject) => Promise<KubeObject | null> | null,
    stop: AbortSignal | undefined,
  ): Promise<KubeObject | null> {
    const { namespace, name, uid } = metadata;
    let refused: string | undefined;
    for (;;) {
      const current = await this.read(type, namespace ?? null, name, stop);
      if (current === null || current.metadata.uid !== uid) return null;
      const { resourceVersion } = current.metadata;
      // Refused though nobody changed it: that will not end by asking in a tight loop.
      if (resourceVersion === refused) await sleep(this.#clock, RETRY_MS, stop);
      const written = write(current);
      if (written === null) return null;
      const answer = await written;
      if (answer !== null) return answer;
      refused = resourceVersion;
    }
  }

  async #answered(write: () => Promise<KubeObject>, stop?: AbortSignal): Promise<KubeObject | null> {
    for (;;) {
      stop?.throwIfAborted();
      try {
        return await write();
      } catch (error) {
        if (isNotFound(error)) return null;
        // Another UID or version: what we meant is no longer there.
        if (error instanceof KubeApiError && (error.status === 409 || error.status === 422)) return null;
        const isTransient =
          error instanceof TransportError ||
          (error instanceof KubeApiError && (TRANSIENT.has(error.status) || error.status >= 500));
        if (this.#stopped.aborted) return null;
        if (!isTransient) throw error;
        await sleep(this.#clock, RETRY_MS, stop);
      }
    }
  }
}
