import { z } from 'zod';
import type { NodeName } from '../../domain/ids.ts';
import type { FilterRequest } from '../../engine/preemption/callbacks.ts';
import { namesIn, readNames, splitBody, type NameList } from './go-body.ts';
import { absent, readBody } from './json-body.ts';
import { podOfHead } from './pod-head.ts';
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
const NAMES_MARKER = Buffer.from(',"Nodes":null,"NodeNames":[');

export interface ExtenderArgs {
  readonly request: FilterRequest;
  readonly nodeCount: number;
  /** The names as they came, to be given back unread; null where they came in another form. */
  readonly names: NameList | null;
  /** The nodes as they came, in the order of `request.nodeNames`; null where the caller sent names and wants names back. */
  readonly nodes: readonly object[] | null;
}

export function readExtenderArgs(raw: string | Buffer): ExtenderArgs {
  return (typeof raw === 'string' ? null : readNamesUnparsed(raw)) ?? readWhole(raw);
}

/** What kube-scheduler sends with `nodeCacheCapable: true`: most calls are answered without a look at a single name. */
function readNamesUnparsed(raw: Buffer): ExtenderArgs | null {
  const split = splitBody(raw, NAMES_MARKER);
  const names = split && readNames(raw, split.start);
  if (split === null || names === null) return null;
  const pod = podOfHead(split.head);
  let nodeNames: readonly NodeName[] | null = null; // made when somebody asks
  const request = {
    pod,
    get nodeNames() {
      return (nodeNames ??= namesIn(names) as readonly NodeName[]);
    },
  };
  return { request, nodeCount: names.count, names, nodes: null };
}

function readWhole(raw: string | Buffer): ExtenderArgs {
  const args = readBody(extenderArgs, raw);
  const pod = readPod('Pod', args.Pod);
  // kube-scheduler sends one of the two; where both are missing, names: an answer with names is right for no nodes at all.
  if (args.NodeNames || !args.Nodes) {
    const nodeNames = (args.NodeNames ?? []) as NodeName[];
    return { request: { pod, nodeNames }, nodeCount: nodeNames.length, names: null, nodes: null };
  }
  const items = args.Nodes.items ?? [];
  return {
    request: { pod, nodeNames: items.map((node) => node.metadata.name as NodeName) },
    nodeCount: items.length,
    names: null,
    nodes: items.map((node, position) => withoutNulls(`Nodes.items[${position}]`, node)),
  };
}
