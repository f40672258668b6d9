import type { KubeRequest } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import type { WorkEvent } from '../../src/sim/nodes/work-ledger.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { Decision } from '../../src/domain/ticket.ts';
import { comparePolicies } from '../../src/domain/protection.ts';
import { policyOf } from '../../src/kube/project/policy.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { INVARIANTS, type Seen } from './invariants.ts';
import type { World } from './world.ts';

/** What really happened, remembered as far as an invariant needs it. Nothing here asks Reprieve. */
export class Truth {
  readonly world: World;
  /** Progress of each state that was written to a disk, newest last. */
  readonly savedProgress = new Map<string, number>(); // victim uid -> seconds
  /** Pods that Reprieve deleted while they stood frozen: they must never go on. */
  readonly committed = new Map<string, { readonly atMs: number }>(); // pod uid
  /** Who continued a victim's state. */
  readonly continuedBy = new Map<string, string[]>(); // victim uid -> pod uids
  /** Policies as they were, newest last. */
  readonly policies: { readonly fromMs: number; readonly list: readonly Policy[] }[] = [];
  /** When and where a pod was bound. */
  readonly bound = new Map<string, { readonly node: string; readonly atMs: number }>(); // pod uid
  /** Which process of Reprieve told a preemptor to wait, or wrote to it last since. */
  readonly waitingFor = new Map<string, { readonly by: string; readonly sinceMs: number }>(); // preemptor uid -> process
  /** Since when the present holder of the Lease has it, on the clock of the world. */
  leadingSinceMs = 0;
  /** When an object left the API server. */
  readonly goneMs = new Map<string, number>(); // uid -> time

  #holder: string | null = null;
  /** What each process decided. A request for one that is over may still be on its way. */
  #decisions: readonly { readonly by: string; readonly decision: Decision; readonly overMs: number }[] = [];

  constructor(world: World) {
    this.world = world;
  }

  decided(by: string, decision: Decision): void {
    this.#decisions = [...this.#decisions, { by, decision, overMs: Infinity }];
  }

  closed(by: string, decision: Decision): void {
    this.#decisions = this.#decisions.map((made) =>
      made.by === by && made.decision.id === decision.id ? { ...made, overMs: this.world.elapsedMs } : made,
    );
  }

  /** Decisions of that process that were open within the last `ms`. */
  decisionsOf(by: string, ms: number): readonly Decision[] {
    const sinceMs = this.world.elapsedMs - ms;
    return this.#decisions.filter((made) => made.by === by && made.overMs >= sinceMs).map(({ decision }) => decision);
  }

  written(write: ServerWrite): void {
    const { kind, type, object } = write;
    if (this.world.tell !== null) this.#tell(write);
    if (kind === RESOURCES.reprievePolicies) {
      const list = this.world.api.list(RESOURCES.reprievePolicies).map(policyOf).sort(comparePolicies);
      this.policies.push({ fromMs: this.world.elapsedMs, list });
    }
    if (kind === RESOURCES.leases) {
      const { holderIdentity } = object['spec'] as { readonly holderIdentity?: string };
      if (holderIdentity !== this.#holder) this.leadingSinceMs = this.world.clock.now();
      this.#holder = holderIdentity ?? null;
    }
    if (kind === RESOURCES.pods && this.waitingFor.has(object.metadata.uid ?? '')) {
      if (type === 'DELETED') this.waitingFor.delete(object.metadata.uid ?? '');
      else if (write.by?.user.startsWith('reprieve')) {
        const since = { by: write.by.user, sinceMs: this.world.clock.now() };
        this.waitingFor.set(object.metadata.uid ?? '', since);
      }
    }
    const { nodeName } = (object['spec'] ?? {}) as { readonly nodeName?: string };
    if (kind === RESOURCES.pods && nodeName !== undefined && !this.bound.has(object.metadata.uid ?? '')) {
      this.bound.set(object.metadata.uid ?? '', { node: nodeName, atMs: this.world.elapsedMs });
    }
    if (type === 'DELETED') this.goneMs.set(object.metadata.uid ?? '', this.world.elapsedMs);
    this.#check({ kind: 'write', write });
  }

  worked(event: WorkEvent): void {
    const { kind, pod, podUid, node, progressSeconds } = event;
    this.world.say(`${node}: ${kind} ${pod} (${progressSeconds.toFixed(1)} s of work)`);
    if (kind === 'saved') this.savedProgress.set(podUid, progressSeconds);
    this.#check({ kind: 'work', event });
  }

  sent(process: string, request: KubeRequest): void {
    this.#check({ kind: 'sent', process, request });
  }

  answered(by: string, verb: string, body: string, answer: { readonly status: number; readonly body: string }): void {
    if (verb === 'preempt') {
      this.world.say(`preempt answered: ${answer.body.slice(0, 300)}`);
      const { uid } = (JSON.parse(body) as { readonly Pod: { readonly metadata: { readonly uid: string } } }).Pod
        .metadata;
      if (answer.body === '{}') this.waitingFor.set(uid, { by, sinceMs: this.world.clock.now() });
      else this.waitingFor.delete(uid);
    }
    this.#check({ kind: 'answer', verb, body, answer });
  }

  second(): void {
    this.#check({ kind: 'second' });
  }

  /** What a run of days need not remember. */
  forget(): void {
    for (const map of [this.savedProgress, this.committed, this.continuedBy, this.goneMs, this.bound, this.waitingFor])
      map.clear();
    this.#decisions = this.#decisions.filter(({ overMs }) => overMs === Infinity);
  }

  /** Who holds the Lease. */
  get holder(): string | null {
    return this.#holder;
  }

  /** All versions of the policies that stood within the last `ms`, the present one included. */
  policiesWithin(ms: number): readonly (readonly Policy[])[] {
    const sinceMs = this.world.elapsedMs - ms;
    const first = this.policies.findLastIndex(({ fromMs }) => fromMs <= sinceMs);
    return this.policies.slice(Math.max(0, first)).map(({ list }) => list);
  }

  #check(seen: Seen): void {
    if (this.world.violation !== null) return;
    for (const [name, check] of Object.entries(INVARIANTS)) {
      const message = check(this, seen);
      if (message !== null) this.world.fail(name, message);
    }
  }

  #tell({ kind, type, object, by }: ServerWrite): void {
    if (kind === RESOURCES.leases || kind === RESOURCES.events) return;
    const { name, deletionTimestamp } = object.metadata;
    const verb =
      type === 'ADDED' ? 'created' : type === 'DELETED' ? 'gone' : deletionTimestamp ? 'is going' : 'changed';
    const { status, spec } = object as unknown as Told;
    const facts = [
      status?.phase ?? '',
      spec?.nodeName ? `on ${spec.nodeName}` : '',
      status?.nominatedNodeName ? `nominated ${status.nominatedNodeName}` : '',
      status?.claim ? `claims ${status.claim.name}` : '',
      spec?.schedulingGates ? 'gated' : '',
      ...(status?.conditions ?? [])
        .filter((condition) => !KUBELETS.has(condition.type) || kind === RESOURCES.podCheckpoints)
        .map((condition) => `${condition.type}=${condition.status}/${condition.reason ?? ''}`),
    ].filter((fact) => fact !== '');
    this.world.say(
      `${by?.user ?? '(webhook)'}: ${kind.kind} ${name} ${verb}${facts.length > 0 ? ` [${facts.join(' ')}]` : ''}`,
    );
  }
}

/** What a story shows of an object. */
interface Told {
  readonly status?: {
    readonly phase?: string;
    readonly nominatedNodeName?: string;
    readonly claim?: { readonly name: string };
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
  readonly spec?: { readonly nodeName?: string; readonly schedulingGates?: readonly unknown[] };
}

const KUBELETS: ReadonlySet<string> = new Set(['Initialized', 'ContainersReady', 'Ready', 'PodScheduled']);
