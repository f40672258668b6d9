import type { NodeName } from '../domain/ids.ts';
import { AGENT_LEASE_LABEL } from '../domain/labels.ts';
import { microTimestampOf } from './project/time.ts';
import type { KubeObject } from './transport.ts';

/** How often an agent renews the Lease of its node, give or take a tenth: a kubelet renews its own as often. */
export const RENEW_EVERY_MS = 10_000;
/** An agent that has not renewed its Lease for so long is silent: as long as Kubernetes waits for a kubelet by default. */
export const SILENT_AFTER_MS = 40_000;

/** Selects the Leases of all agents. */
export const AGENT_LEASES = `${AGENT_LEASE_LABEL}=true`;

/** A node has a Lease by this name for its agent. Node names are label values too, so it is no longer than names may be. */
export function agentLeaseName(node: NodeName): string {
  return `reprieve-agent-${node}`;
}

/** Removed by the garbage collector with its node. */
export function agentLease(node: NodeName, nodeUid: string, nowMs: number): object {
  return {
    metadata: {
      name: agentLeaseName(node),
      labels: { [AGENT_LEASE_LABEL]: 'true' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node, uid: nodeUid }],
    },
    spec: { holderIdentity: node, leaseDurationSeconds: SILENT_AFTER_MS / 1000, renewTime: microTimestampOf(nowMs) },
  };
}

/** The renewal, as a merge patch. */
export function renewal(nowMs: number): object {
  return { spec: { renewTime: microTimestampOf(nowMs) } };
}

/** One version of the Lease of an agent. The times in it are the clock of another machine, and prove nothing. */
export interface AgentLease {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly node: NodeName;
}

export function agentLeaseOf({ metadata, spec }: KubeObject): AgentLease {
  const { holderIdentity = '' } = (spec ?? {}) as { readonly holderIdentity?: string };
  const { uid = '', resourceVersion = '' } = metadata;
  return { uid, resourceVersion, node: holderIdentity as NodeName };
}
