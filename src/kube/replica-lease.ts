import { REPLICA_LEASE_LABEL, TICKETS_SEEN_ANNOTATION } from '../domain/labels.ts';
import { microTimestampOf } from './project/time.ts';
import type { KubeObject } from './transport.ts';

/** How often a replica renews its Lease, beside each time that it has seen a ticket which a displacement waits for. */
export const RENEW_EVERY_MS = 5_000;
/** A replica that could not renew its Lease for so long, by its own clock, answers no review from its index any more. */
export const APART_AFTER_MS = 10_000;
/** No displacement waits for a replica whose Lease the leader has seen unchanged for so long. */
export const GONE_AFTER_MS = 15_000;

/** Selects the Leases of all replicas. */
export const REPLICA_LEASES = `${REPLICA_LEASE_LABEL}=true`;

export function replicaLeaseName(instance: string): string {
  return `reprieve-webhook-${instance.toLowerCase().replace(/[^a-z0-9.-]/g, '-')}`;
}

/** `seen`: up to which version the index of the replica holds the tickets; null while its webhook reads them from the API server. */
export function replicaLease(instance: string, seen: string | null, nowMs: number, base?: KubeObject): object {
  const { [TICKETS_SEEN_ANNOTATION]: _, ...annotations } = base?.metadata.annotations ?? {};
  return {
    metadata: {
      ...base?.metadata,
      name: replicaLeaseName(instance),
      labels: { ...base?.metadata.labels, [REPLICA_LEASE_LABEL]: 'true' },
      annotations: seen === null ? annotations : { ...annotations, [TICKETS_SEEN_ANNOTATION]: seen },
    },
    spec: {
      holderIdentity: instance,
      leaseDurationSeconds: GONE_AFTER_MS / 1000,
      renewTime: microTimestampOf(nowMs),
    },
  };
}

/** One version of the Lease of a replica. */
export interface ReplicaLease {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly name: string;
  readonly instance: string;
  readonly seen: string | null;
}

export function replicaLeaseOf({ metadata, spec }: KubeObject): ReplicaLease {
  const { holderIdentity = '' } = (spec ?? {}) as { readonly holderIdentity?: string };
  const { uid = '', resourceVersion = '', name, annotations } = metadata;
  const seen = annotations?.[TICKETS_SEEN_ANNOTATION] ?? '';
  return { uid, resourceVersion, name, instance: holderIdentity, seen: /^\d+$/.test(seen) ? seen : null };
}
