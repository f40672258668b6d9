import { isNotFound, KubeApiError } from '../../kube/api-error.ts';
import { KubeClient, type DeleteOptions } from '../../kube/client.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import { secondsTimestampOf } from '../../kube/project/time.ts';
import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import { TransportError, type KubeObject, type KubeTransport } from '../../kube/transport.ts';
import { sleep, type Clock } from '../../ports/clock.ts';

const RETRY_MS = 500;

export interface ConditionPatch {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Writes of kubelets and agents: tried again until there is an answer; null where the object is gone or is another one. */
export class NodeApi {
  readonly client: KubeClient;
  readonly #clock: Clock;

  constructor(transport: KubeTransport, clock: Clock) {
    this.client = new KubeClient(transport);
    this.#clock = clock;
  }

  read(type: ResourceType, namespace: string | null, name: string): Promise<KubeObject | null> {
    return this.#answered(() => this.client.get(type, namespace, name));
  }

  /** Status and, since pods/status lets them through, annotations; conditions are merged by type, others' stay. */
  patchPod(
    pod: KubeObject,
    patch: {
      readonly status?: Readonly<Record<string, unknown>>;
      readonly conditions?: readonly ConditionPatch[];
      readonly annotations?: Readonly<Record<string, string>>;
      /** Refused unless the pod is at this version. */
      readonly resourceVersion?: string;
    },
  ): Promise<KubeObject | null> {
    const { namespace, name, uid } = pod.metadata;
    const lastTransitionTime = this.timestamp();
    const conditions = patch.conditions?.map((condition) => ({ ...condition, lastTransitionTime }));
    const body = {
      metadata: {
        uid,
        ...(patch.resourceVersion && { resourceVersion: patch.resourceVersion }),
        ...(patch.annotations && { annotations: patch.annotations }),
      },
      status: { ...patch.status, ...(conditions && { conditions }) },
    };
    return this.#answered(() =>
      this.client.patch(RESOURCES.pods, namespace ?? null, name, body, { type: 'strategic', subresource: 'status' }),
    );
  }

  deletePod(pod: KubeObject, options: DeleteOptions): Promise<KubeObject | null> {
    const { namespace, name } = pod.metadata;
    return this.#answered(() => this.client.delete(RESOURCES.pods, namespace ?? null, name, options));
  }

  /** Sets fields of a PodCheckpoint's status and its conditions; both are only ever written by this agent. */
  async patchCheckpoint(
    checkpoint: KubeObject,
    fields: Partial<PodCheckpointStatus>,
    conditions: readonly ConditionPatch[],
  ): Promise<KubeObject | null> {
    const { namespace, name, uid } = checkpoint.metadata;
    const current = await this.read(RESOURCES.podCheckpoints, namespace ?? null, name);
    if (current === null || current.metadata.uid !== uid) return null;
    const status = (current['status'] ?? {}) as { conditions?: readonly ConditionPatch[] };
    const lastTransitionTime = this.timestamp();
    const changed = new Set(conditions.map(({ type }) => type));
    const merged = [
      ...(status.conditions ?? []).filter(({ type }) => !changed.has(type)),
      ...conditions.map((condition) => ({
        ...condition,
        lastTransitionTime,
        observedGeneration: current.metadata.generation ?? 1,
      })),
    ];
    const body = { status: { ...fields, conditions: merged } };
    return this.#answered(() =>
      this.client.patch(RESOURCES.podCheckpoints, namespace ?? null, name, body, {
        type: 'merge',
        subresource: 'status',
      }),
    );
  }

  removeFinalizer(checkpoint: KubeObject, finalizer: string): Promise<KubeObject | null> {
    const { namespace, name } = checkpoint.metadata;
    const finalizers = (checkpoint.metadata.finalizers ?? []).filter((candidate) => candidate !== finalizer);
    const patch = { metadata: { uid: checkpoint.metadata.uid, finalizers } };
    return this.#answered(() =>
      this.client.patch(RESOURCES.podCheckpoints, namespace ?? null, name, patch, { type: 'merge' }),
    );
  }

  timestamp(): string {
    return secondsTimestampOf(this.#clock.now());
  }

  async #answered(write: () => Promise<KubeObject>): Promise<KubeObject | null> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (isNotFound(error)) return null;
        // Another UID or version: what we meant is no longer there.
        if (error instanceof KubeApiError && (error.status === 409 || error.status === 422)) return null;
        const isTransient =
          error instanceof TransportError ||
          (error instanceof KubeApiError && (error.status === 429 || error.status >= 500));
        if (!isTransient) throw error;
        await sleep(this.#clock, RETRY_MS);
      }
    }
  }
}
