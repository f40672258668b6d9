import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject, KubeTransport } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import { Informer } from '../informer.ts';
import { controllerRefOf } from './objects.ts';

const FOLLOWED = [
  'pods',
  'nodes',
  'podDisruptionBudgets',
  'jobs',
  'deployments',
  'replicaSets',
  'replicationControllers',
  'statefulSets',
] as const satisfies readonly (keyof typeof RESOURCES)[];

type Followed = (typeof FOLLOWED)[number];

/** One informer for each kind, shared by the controllers and the scheduler, as in kube-controller-manager. */
export class ClusterInformers {
  readonly pods: Informer;
  readonly nodes: Informer;
  readonly podDisruptionBudgets: Informer;
  readonly jobs: Informer;
  readonly deployments: Informer;
  readonly replicaSets: Informer;
  readonly replicationControllers: Informer;
  readonly statefulSets: Informer;
  readonly #dependents = new Map<string, Map<string, KubeObject>>(); // UID of the controller -> its objects by UID

  constructor(transport: KubeTransport, clock: Clock) {
    const follow = (name: Followed): Informer => new Informer({ transport, clock, resource: RESOURCES[name] });
    this.pods = follow('pods');
    this.nodes = follow('nodes');
    this.podDisruptionBudgets = follow('podDisruptionBudgets');
    this.jobs = follow('jobs');
    this.deployments = follow('deployments');
    this.replicaSets = follow('replicaSets');
    this.replicationControllers = follow('replicationControllers');
    this.statefulSets = follow('statefulSets');
    for (const informer of [this.pods, this.replicaSets])
      informer.onChange((before, after) => this.#index(before, after));
  }

  start(): void {
    for (const name of FOLLOWED) this[name].start();
  }

  stop(): void {
    for (const name of FOLLOWED) this[name].stop();
  }

  /** Resolves when every kind was listed once. */
  async synced(): Promise<void> {
    await Promise.all(FOLLOWED.map((name) => this[name].synced));
  }

  get isSynced(): boolean {
    return FOLLOWED.every((name) => this[name].isSynced);
  }

  /** Pods and ReplicaSets that name `uid` as their controller, in the order in which they were first seen. */
  dependentsOf(uid: string): readonly KubeObject[] {
    const objects = this.#dependents.get(uid);
    return objects === undefined ? [] : [...objects.values()];
  }

  #index(before: KubeObject | null, after: KubeObject | null): void {
    const [oldOwner, owner] = [controllerRefOf(before)?.uid, controllerRefOf(after)?.uid];
    const uid = (after ?? before)?.metadata.uid ?? '';
    if (oldOwner !== undefined && oldOwner !== owner) {
      const siblings = this.#dependents.get(oldOwner);
      siblings?.delete(uid);
      if (siblings?.size === 0) this.#dependents.delete(oldOwner);
    }
    if (owner === undefined || after === null) return;
    const siblings = this.#dependents.get(owner);
    if (siblings === undefined) this.#dependents.set(owner, new Map([[uid, after]]));
    else siblings.set(uid, after);
  }
}
