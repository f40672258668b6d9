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
import type { KubeObject } from '../../kube/transport.ts';
import { Turns } from '../turns.ts';
import { compatibilityOf, type NodeFacts } from './node-facts.ts';

/** What the agent says of its node. */
export interface NodeReport {
  /** Null where they could not be read: nothing can be saved here then. */
  readonly facts: NodeFacts | null;
  /** Why pods cannot be saved here; null: they can. */
  readonly problem: string | null;
  /** Bytes a second; null before anything was dumped. */
  readonly dumpSpeed: number | null;
  /** Where it gives states to others; null: it does not. */
  readonly peerPort: number | null;
}

/** Labels and annotations of the report, for a merge patch: null removes what an earlier report said. */
export function nodePatch({ facts, problem, dumpSpeed, peerPort }: NodeReport, address: string | null): object {
  return {
    metadata: {
      labels: {
        [CHECKPOINT_LABEL]: String(facts !== null && problem === null),
        [COMPATIBILITY_LABEL]: facts && compatibilityOf(facts),
      },
      annotations: {
        [COMPATIBILITY_FACTS_ANNOTATION]: facts && JSON.stringify(facts),
        [CHECKPOINT_PROBLEM_ANNOTATION]: problem,
        [PEER_ANNOTATION]: peerPort && address && `${address.includes(':') ? `[${address}]` : address}:${peerPort}`,
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
  readonly #writes = new Turns();
  #isWithdrawn = false;

  constructor(client: KubeClient, nodeName: string) {
    this.#client = client;
    this.#nodeName = nodeName;
  }

  write(report: NodeReport): Promise<void> {
    return this.#writes.take(() => this.#write(report));
  }

  /** Pods can no longer be saved here: the agent stops. Its other labels describe the node, and stay. */
  async withdraw(): Promise<void> {
    this.#isWithdrawn = true;
    const patch = { metadata: { labels: { [CHECKPOINT_LABEL]: null } } };
    await this.#writes.take(() => this.#client.patch(RESOURCES.nodes, null, this.#nodeName, patch, { type: 'merge' }));
  }

  async #write(report: NodeReport): Promise<void> {
    const node = await this.#client.get(RESOURCES.nodes, null, this.#nodeName);
    if (this.#isWithdrawn) return;
    const patch = nodePatch(report, addressOf(node));
    const text = JSON.stringify(patch);
    if (text === this.#written) return;
    await this.#client.patch(RESOURCES.nodes, null, this.#nodeName, patch, { type: 'merge' });
    this.#written = text;
  }
}

/** By which other nodes reach it. */
function addressOf(node: KubeObject): string | null {
  const { addresses = [] } = (node['status'] ?? {}) as {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
  };
  return addresses.find(({ type }) => type === 'InternalIP')?.address ?? null;
}
