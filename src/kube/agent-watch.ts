import type { NodeName } from '../domain/ids.ts';
import { AGENT_LEASES, agentLeaseName, agentLeaseOf, SILENT_AFTER_MS, type AgentLease } from './agent-lease.ts';
import { LeaseWatch, type LeaseWatchBase, type SilenceRules } from './lease-watch.ts';

const RULES: SilenceRules = {
  lookEveryMs: 5_000,
  suspectAfterMs: 25_000,
  looks: 3,
  silentAfterMs: SILENT_AFTER_MS,
  maxSingleReads: 16,
};

export interface AgentWatchOptions extends LeaseWatchBase {
  /** An agent fell silent, or is heard again. */
  readonly onChange: (node: NodeName, silent: boolean) => void;
}

/**
 * Which agents are alive. A node without a Lease has an agent of before there were any, or none: nothing is said of it.
 */
export class AgentWatch extends LeaseWatch<NodeName, AgentLease> {
  constructor(options: AgentWatchOptions) {
    super({
      ...options,
      labelSelector: AGENT_LEASES,
      project: agentLeaseOf,
      keyOf: ({ node }) => node,
      nameOf: agentLeaseName,
      rules: RULES,
    });
  }
}
