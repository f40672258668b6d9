import { z } from 'zod';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { PreemptCandidate, PreemptRequest } from '../../engine/callbacks.ts';
import { absent, readBody } from './json-body.ts';
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

export function readPreemptionArgs(raw: string | Buffer): PreemptRequest {
  const args = readBody(preemptionArgs, raw);
  const preemptor = readPod('Pod', args.Pod);
  // One of the two is set. Both are missing where the map was empty: Go writes an empty map as null here and there.
  const candidates = args.NodeNameToMetaVictims
    ? candidatesOf(args.NodeNameToMetaVictims, (pod) => pod.UID)
    : candidatesOf(args.NodeNameToVictims ?? {}, (pod) => pod.metadata.uid);
  return { preemptor, candidates };
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
