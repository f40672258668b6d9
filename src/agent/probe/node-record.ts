import {
  CHECKPOINT_LABEL,
  CHECKPOINT_PROBLEM_ANNOTATION,
  COMPATIBILITY_FACTS_ANNOTATION,
  COMPATIBILITY_LABEL,
  DUMP_SPEED_ANNOTATION,
  PEER_ANNOTATION,
} from '../../domain/labels.ts';
import type { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { compatibilityOf, type NodeFacts } from './node-facts.ts';

/** What the agent says of its node. */
export interface NodeReport {
  /** Null where they could not be read: nothing can be saved here then. */
  readonly facts: NodeFacts | null;
  /** Why pods cannot be saved here; null: they can. */
  readonly problem: string | null;
  /** Bytes a second; null before anything was dumped. */
  readonly dumpSpeed: number | null;
  /** `host:port`; null: this agent gives nothing to others. */
  readonly peer: string | null;
}

/** Labels and annotations of the report, for a merge patch: null removes what an earlier report said. */
export function nodePatch({ facts, problem, dumpSpeed, peer }: NodeReport): object {
  return {
    metadata: {
      labels: {
        [CHECKPOINT_LABEL]: String(facts !== null && problem === null),
        [COMPATIBILITY_LABEL]: facts && compatibilityOf(facts),
      },
      annotations: {
        [COMPATIBILITY_FACTS_ANNOTATION]: facts && JSON.stringify(facts),
        [CHECKPOINT_PROBLEM_ANNOTATION]: problem,
        [PEER_ANNOTATION]: peer,
        ...(dumpSpeed !== null && { [DUMP_SPEED_ANNOTATION]: String(Math.round(dumpSpeed)) }),
      },
    },
  };
}

/** Writes a report onto the Node object, and only what differs from the last one. */
export class NodeRecord {
  readonly #client: KubeClient;
  readonly #nodeName: string;
  #written = '';

  constructor(client: KubeClient, nodeName: string) {
    this.#client = client;
    this.#nodeName = nodeName;
  }

  async write(report: NodeReport): Promise<void> {
    const patch = nodePatch(report);
    const text = JSON.stringify(patch);
    if (text === this.#written) return;
    await this.#client.patch(RESOURCES.nodes, null, this.#nodeName, patch, { type: 'merge' });
    this.#written = text;
  }
}
