import { apiErrorOf, isNotFound, KubeApiError } from '../../kube/api-error.ts';
import type { KubeClient } from '../../kube/client.ts';
import { pathOf, RESOURCES } from '../../kube/resources.ts';
import { TransportError, type KubeObject, type KubeTransport } from '../../kube/transport.ts';
import { timestampOf, type Condition, type WirePod } from '../controllers/objects.ts';
import type { Nomination } from './nominator.ts';

/** An answer of the API server that says no, or none at all: what kube-scheduler logs and goes on after. */
export function isApiFailure(error: unknown): boolean {
  return error instanceof KubeApiError || error instanceof TransportError;
}

/** What the scheduler writes to pods. */
export class PodWrites {
  readonly #client: KubeClient;
  readonly #transport: KubeTransport;

  constructor(client: KubeClient, transport: KubeTransport) {
    this.#client = client;
    this.#transport = transport;
  }

  /** Rejects where the pod cannot be bound. */
  async bind(pod: KubeObject, node: string): Promise<void> {
    const { namespace = null, name, uid } = pod.metadata;
    const response = await this.#transport.request({
      method: 'POST',
      path: pathOf(RESOURCES.pods, namespace, name, 'binding'),
      body: {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { namespace, name, uid },
        target: { kind: 'Node', name: node },
      },
    });
    if (response.status < 200 || response.status > 299) throw apiErrorOf(`binding pods "${name}"`, response);
  }

  /** The PodScheduled condition and the nomination after a failed cycle; nothing where both are as they should be. */
  async reportFailure(pod: KubeObject, condition: Condition, nomination: Nomination, nowMs: number): Promise<void> {
    const current = (pod as WirePod).status;
    const conditions = conditionPatch(pod, condition, nowMs);
    const isNominated = nomination === null || nomination === (current?.nominatedNodeName ?? '');
    if (conditions === null && isNominated) return;
    await this.#patchStatus(pod, {
      ...(conditions !== null && { conditions }),
      ...(!isNominated && { nominatedNodeName: nomination === '' ? null : nomination }),
    });
  }

  /** Takes the nomination from a pod that has lost its place to a more important one. */
  async clearNomination(pod: KubeObject): Promise<void> {
    if ((pod as WirePod).status?.nominatedNodeName) await this.#patchStatus(pod, { nominatedNodeName: null });
  }

  /**
   * The eviction by preemption: the condition, then a DELETE by name, without a precondition on the UID. False where the
   * victim was gone already.
   */
  async evict(victim: KubeObject, message: string, nowMs: number): Promise<boolean> {
    const condition = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message };
    const conditions = conditionPatch(victim, condition, nowMs);
    const { namespace = null, name } = victim.metadata;
    try {
      if (conditions !== null) await this.#patchStatus(victim, { conditions });
      await this.#client.delete(RESOURCES.pods, namespace, name);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #patchStatus({ metadata }: KubeObject, status: object): Promise<void> {
    const { namespace = null, name, uid } = metadata;
    const patch = { metadata: { uid }, status };
    await this.#client.patch(RESOURCES.pods, namespace, name, patch, { type: 'strategic', subresource: 'status' });
  }
}

/** The condition as a strategic merge patch wants it; null where the pod has it already (`UpdatePodCondition`). */
function conditionPatch(pod: KubeObject, condition: Condition, nowMs: number): readonly object[] | null {
  const old = (pod as WirePod).status?.conditions?.find(({ type }) => type === condition.type);
  const isSameStatus = old?.status === condition.status;
  if (isSameStatus && old?.reason === condition.reason && old?.message === condition.message) return null;
  const lastTransitionTime = isSameStatus ? old?.lastTransitionTime : timestampOf(nowMs);
  return [{ ...condition, lastProbeTime: null, lastTransitionTime }];
}
