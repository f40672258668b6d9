import { z } from 'zod';
import type { Pod } from '../../domain/pod.ts';
import { readBody } from './json-body.ts';
import { podSchema, readPod } from './pod-schema.ts';

const podAlone = z.object({ Pod: podSchema });
/** Above what pods have: a body that is none is not kept. */
const MAX_KEPT = 64 * 1024;

let last: { readonly head: string; readonly pod: Pod } | null = null;

/**
 * The pod of a body that was split (`go-body.ts`). kube-scheduler asks `prioritize` about a pod right after `filter`, in the
 * same words: checking and projecting them is half of what either costs, and is done once.
 */
export function podOfHead(head: string): Pod {
  if (head === last?.head) return last.pod;
  const pod = readPod('Pod', readBody(podAlone, head).Pod);
  if (head.length <= MAX_KEPT) last = { head, pod };
  return pod;
}
