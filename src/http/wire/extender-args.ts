import { z } from 'zod';
import type { NodeName } from '../../domain/ids.ts';
import type { FilterRequest } from '../../engine/callbacks.ts';
import { absent, readBody } from './json-body.ts';
import { podSchema, readPod } from './pod-schema.ts';
import { withoutNulls } from './without-nulls.ts';

/** Body of `filter` and `prioritize`: `ExtenderArgs` of k8s.io/kube-scheduler/extender/v1. Its Go structs have no JSON names, hence the capitals. */
const extenderArgs = z.object({
  Pod: podSchema,
  /** `nodeCacheCapable: false`: whole nodes. */
  Nodes: absent(
    z.object({ items: absent(z.array(z.looseObject({ metadata: z.looseObject({ name: z.string().min(1) }) }))) }),
  ),
  /** `nodeCacheCapable: true`: names. */
  NodeNames: absent(z.array(z.string().min(1))),
});

export interface ExtenderArgs {
  readonly request: FilterRequest;
  /** The nodes as they came, in the order of `request.nodeNames`; null where the caller sent names and wants names back. */
  readonly nodes: readonly object[] | null;
}

export function readExtenderArgs(raw: string | Buffer): ExtenderArgs {
  const args = readBody(extenderArgs, raw);
  const pod = readPod('Pod', args.Pod);
  // kube-scheduler sends one of the two; where both are missing, names: an answer with names is right for no nodes at all.
  if (args.NodeNames || !args.Nodes) {
    return { request: { pod, nodeNames: (args.NodeNames ?? []) as NodeName[] }, nodes: null };
  }
  const items = args.Nodes.items ?? [];
  return {
    request: { pod, nodeNames: items.map((node) => node.metadata.name as NodeName) },
    nodes: items.map((node, position) => withoutNulls(`Nodes.items[${position}]`, node)),
  };
}
