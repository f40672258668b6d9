import { z } from 'zod';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { PreemptCandidate, PreemptRequest } from '../../engine/preemption/callbacks.ts';
import { readVictims, splitBody } from './go-body.ts';
import { absent, readBody } from './json-body.ts';
import { podOfHead } from './pod-head.ts';
import { podSchema, readPod } from './pod-schema.ts';

const uid = z.string().min(1);
const numPdbViolations = absent(z.int().min(0));

/** `nodeCacheCapable: true`. `Pods` may be empty or null: nodes where the pod fits without victims (kubernetes/kubernetes#135486). */
const metaVictims = absent(
  z.object({ Pods: absent(z.array(z.object({ UID: uid }))), NumPDBViolations: numPdbViolations }),
);

/** `nodeCacheCapable: false`: whole pods, of which only the UID is read: what else is known of them stands in the index. */
const fullVictims = absent(
  z.object({ Pods: absent(z.array(z.object({ metadata: z.object({ uid }) }))), NumPDBViolations: numPdbViolations }),
);

/** Body of `preempt`: `ExtenderPreemptionArgs` of k8s.io/kube-scheduler/extender/v1. */
const preemptionArgs = z.object({
  Pod: podSchema,
  NodeNameToVictims: absent(z.record(z.string().min(1), fullVictims)),
  NodeNameToMetaVictims: absent(z.record(z.string().min(1), metaVictims)),
});

const VICTIMS_MARKER = Buffer.from(',"NodeNameToVictims":null,"NodeNameToMetaVictims":{');

export interface PreemptionArgs {
  /** Its UIDs are for the time of the call: they may be slices of the body. */
  readonly request: PreemptRequest;
  /** The candidates as they came, to be given back unread; null where they came in another form. */
  readonly bytes: Buffer | null;
}

export function readPreemptionArgs(raw: string | Buffer): PreemptionArgs {
  return (typeof raw === 'string' ? null : readVictimsUnparsed(raw)) ?? readWhole(raw);
}

/** What kube-scheduler sends with `nodeCacheCapable: true`: 2 MB for 5,000 nodes, of which `JSON.parse` would make 85,000 objects. */
function readVictimsUnparsed(raw: Buffer): PreemptionArgs | null {
  const split = splitBody(raw, VICTIMS_MARKER);
  const victims = split && readVictims(raw, split.start);
  if (split === null || victims === null) return null;
  const preemptor = podOfHead(split.head);
  const candidates = victims.nodes.map(({ node, uids, numPdbViolations }): PreemptCandidate => ({
    node: node as NodeName,
    victims: uids as readonly PodUid[],
    numPdbViolations,
  }));
  return { request: { preemptor, candidates }, bytes: victims.bytes };
}

function readWhole(raw: string | Buffer): PreemptionArgs {
  const args = readBody(preemptionArgs, raw);
  const preemptor = readPod('Pod', args.Pod);
  // One of the two is set. Both are missing where the map was empty: Go writes an empty map as null here and there.
  const candidates = args.NodeNameToMetaVictims
    ? candidatesOf(args.NodeNameToMetaVictims, (pod) => pod.UID)
    : candidatesOf(args.NodeNameToVictims ?? {}, (pod) => pod.metadata.uid);
  return { request: { preemptor, candidates }, bytes: null };
}

interface Victims<P> {
  readonly Pods?: readonly P[] | null | undefined;
  readonly NumPDBViolations?: number | null | undefined;
}

function candidatesOf<P>(
  byNode: Readonly<Record<string, Victims<P> | null | undefined>>,
  uidOf: (pod: P) => string,
): PreemptCandidate[] {
  return Object.entries(byNode).map(([node, victims]) => ({
    node: node as NodeName,
    victims: (victims?.Pods ?? []).map((pod) => uidOf(pod) as PodUid),
    numPdbViolations: victims?.NumPDBViolations ?? 0,
  }));
}
