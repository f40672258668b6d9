import type { WebhookReplica } from '../domain/webhook-replica.ts';
import type { KubeClient } from '../kube/client.ts';
import type { LeaseWatchBase } from '../kube/lease-watch.ts';
import { Membership } from '../kube/membership.ts';
import type { ReplicaLease } from '../kube/replica-lease.ts';
import { ReplicaWatch } from '../kube/replica-watch.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { TicketProgress } from '../kube/ticket-progress.ts';

export interface ReplicasOptions {
  /** How the Leases are watched. */
  readonly watching: LeaseWatchBase;
  /** Writes the Lease of this replica, whether it leads or not. */
  readonly client: KubeClient;
  /** Writes only while this replica leads. */
  readonly writing: KubeClient;
  readonly instance: string;
  readonly tickets: TicketProgress;
  readonly leads: () => boolean;
  /** Resolves when the index holds the tickets as they were at some moment after the call. */
  readonly relistTickets: () => Promise<void>;
  /** The replicas that evictions wait for changed, or what one of them has seen. */
  readonly onChange: (replicas: readonly WebhookReplica[]) => void;
  /** etcd was restored: the Lease of this replica shows an earlier version. */
  readonly onWentBack: () => void;
  /** Told of the first failure of several in a row to renew the Lease of this replica. */
  readonly onError: (error: unknown) => void;
}

export interface ReplicasState {
  readonly own: ReturnType<Membership['describe']>;
  readonly waitedFor: readonly WebhookReplica[];
}

/** The replicas of this process, and its own part among them ("Replicas" in ARCHITECTURE.md). */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #watch: ReplicaWatch;
  readonly #membership: Membership;

  constructor(options: ReplicasOptions) {
    const { watching, client, instance, tickets, relistTickets, onWentBack, onError } = options;
    this.#options = options;
    this.#watch = new ReplicaWatch({
      ...watching,
      instance,
      onReplicas: (replicas) => this.#changed(replicas),
      whileGone: (lease) => void this.#removeLease(lease),
    });
    this.#membership = new Membership({
      client,
      clock: watching.clock,
      namespace: watching.namespace,
      instance,
      tickets,
      relistTickets,
      onWentBack,
      onError,
    });
  }

  /** The replicas that evictions wait for; this process is always among them. */
  get waitedFor(): readonly WebhookReplica[] {
    return this.#watch.replicas();
  }

  /** The index holds every ticket whose victim may be evicted. */
  get knowsTickets(): boolean {
    return this.#membership.knowsTickets;
  }

  /** Why reviews should go to another replica; null where they may come. */
  get problem(): string | null {
    return this.#membership.problem;
  }

  start(): void {
    this.#watch.start();
  }

  /** Makes evictions wait for this replica. To be called once the index is complete. */
  join(): void {
    this.#membership.start();
  }

  /** etcd was restored: this replica reads tickets from the API server until it has joined again. */
  async recover(): Promise<void> {
    this.#membership.leave('the API server went back to an earlier state');
    await this.#watch.relist();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#membership.stop(), this.#watch.stop()]);
  }

  /** For `/debug/state`. */
  describe(): ReplicasState {
    return { own: this.#membership.describe(), waitedFor: this.waitedFor };
  }

  #changed(replicas: readonly WebhookReplica[]): void {
    const { instance, tickets, onChange } = this.#options;
    for (const { name, seen } of replicas) if (name !== instance) tickets.exists(seen);
    onChange(replicas);
  }

  /** Of a replica that is gone. A replica that lives after all makes another one, and reads from the API server until then. */
  async #removeLease({ name, uid, resourceVersion }: ReplicaLease): Promise<void> {
    const { leads, writing, watching } = this.#options;
    if (!leads()) return;
    await writing.delete(RESOURCES.leases, watching.namespace, name, { uid, resourceVersion }).catch(() => undefined);
  }
}
