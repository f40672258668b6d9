import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PodOwner } from '../src/domain/pod.ts';
import { Client } from './bed/client.ts';
import { Peer } from './bed/messages.ts';
import type { QueueProgramHandlers } from './bed/queue-program.ts';
import { ownerOfTicket, ownerWithoutTicket, type QueueSize } from './bed/queue-population.ts';
import type { Figure } from './figures.ts';
import { measure, type Sample } from './measure.ts';

export interface AdmissionScenario extends QueueSize {
  readonly eventsPerSecond: number;
  readonly warmUp: number;
  readonly runs: number;
}

const PROGRAM = join(import.meta.dirname, 'bed', 'queue-program.ts');
const RECORDED = join(import.meta.dirname, '..', 'test', 'fixtures', 'wire', 'filter.deployment-pod.json');

/**
 * What a review of a new pod costs in a replica that does not lead: pods of owners with open tickets and of others, and of none, which
 * need no look at all. There must be no reads from the API server. The reviewed pod is a recorded one.
 */
export async function admission(scenario: AdmissionScenario, log: (line: string) => void): Promise<readonly Figure[]> {
  const { nodes, pods, tickets, eventsPerSecond, warmUp, runs } = scenario;
  const program = Peer.start<QueueProgramHandlers>(PROGRAM);
  try {
    log(`filling the index of a follower with ${nodes} nodes, ${pods} pods and ${tickets} tickets`);
    const client = await Client.to(await program.ask('start', { nodes, pods, tickets, follows: true }));
    await sleep(SETTLE_MS);
    await program.ask('stream', eventsPerSecond);
    const owners = {
      'of a controller with an open ticket': ownerOfTicket,
      'of a controller without a ticket': ownerWithoutTicket,
      'without a controller (reference)': () => null,
    };
    const samples = Object.entries(owners).map(([what, owner]): Sample => {
      const requests = Array.from({ length: 100 }, (_, number) => reviewOf(owner(number)));
      let asked = 0;
      return {
        name: `review of a pod ${what}`,
        run: async () => void (await client.call(requests[asked++ % requests.length] as Buffer)),
      };
    });
    const figures: Figure[] = [];
    for (const { name, ...times } of await measure(samples, { warmUp, runs })) {
      for (const which of ['p50', 'p99', 'max'] as const)
        figures.push({ name: `${name}, ${which}`, unit: 'us', value: times[which] });
    }
    const { reads } = await program.ask('state');
    if (reads > 0) throw new Error(`the follower read ${reads} times from the API server`);
    return figures;
  } finally {
    await program.stop();
  }
}

const SETTLE_MS = 2_000;

function reviewOf(owner: PodOwner | null): Buffer {
  const { Pod: recorded } = JSON.parse(readFileSync(RECORDED, 'utf8')) as {
    readonly Pod: { readonly metadata: object };
  };
  const ownerReferences = owner === null ? [] : [{ ...owner, controller: true, blockOwnerDeletion: true }];
  const object = { ...recorded, metadata: { ...recorded.metadata, namespace: 'team-0', ownerReferences } };
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '0e0f8a1c-7d0d-4c4f-9d6e-1a2b3c4d5e6f',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'team-0',
      object,
    },
  };
  return Client.request('/v1/admit-pod', JSON.stringify(review));
}
