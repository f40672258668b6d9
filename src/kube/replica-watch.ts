import type { WebhookReplica } from '../domain/webhook-replica.ts';
import { LeaseWatch, type LeaseWatchBase, type SilenceRules } from './lease-watch.ts';
import { GONE_AFTER_MS, REPLICA_LEASES, replicaLeaseName, replicaLeaseOf, type ReplicaLease } from './replica-lease.ts';
import { NO_VERSION } from './ticket-progress.ts';

/** All Leases are listed at once where one is suspect: only then is what is known of them of one moment. */
const RULES: SilenceRules = {
  lookEveryMs: 2_500,
  suspectAfterMs: 10_000,
  looks: 1,
  silentAfterMs: GONE_AFTER_MS,
  maxSingleReads: 0,
};

export interface ReplicaWatchOptions extends LeaseWatchBase {
  /** Of this process. */
  readonly instance: string;
  /** The replicas that displacements wait for changed, or what one of them has seen. */
  readonly onReplicas: (replicas: readonly WebhookReplica[]) => void;
  /** Called at each look for the Lease of a replica that is gone. */
  readonly whileGone: (lease: ReplicaLease) => void;
}

/**
 * The replicas that answer the webhook from their index, and which tickets each has seen. This process is among them, as it sees its
 * own Lease through the watch: what it has published there after a ticket was created shows that the watch has brought
 * every replica that joined before.
 */
export class ReplicaWatch extends LeaseWatch<string, ReplicaLease> {
  readonly #instance: string;

  constructor({ instance, onReplicas, whileGone, ...base }: ReplicaWatchOptions) {
    super({
      ...base,
      labelSelector: REPLICA_LEASES,
      project: replicaLeaseOf,
      keyOf: ({ instance: holder }) => holder,
      nameOf: replicaLeaseName,
      rules: RULES,
      onChange: () => undefined,
      onSeen: () => onReplicas(this.replicas()),
      whileSilent: whileGone,
    });
    this.#instance = instance;
  }

  /** This process is always among them: until its Lease comes by the watch, it has seen nothing. */
  replicas(): readonly WebhookReplica[] {
    const replicas: WebhookReplica[] = [];
    let own: WebhookReplica = { name: this.#instance, seen: NO_VERSION };
    for (const { lease, silent } of this.leases()) {
      if (lease.seen === null || silent) continue;
      if (lease.instance === this.#instance) own = { name: lease.instance, seen: lease.seen };
      else replicas.push({ name: lease.instance, seen: lease.seen });
    }
    return [own, ...replicas];
  }
}
