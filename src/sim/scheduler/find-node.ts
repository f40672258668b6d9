import { ExtenderError } from './extender-answer.ts';
import type { Extender } from './extender.ts';
import { filterWithNominated, type Rejection, type Rejector } from './filters.ts';
import type { Nominator } from './nominator.ts';
import type { NodeInfo, NodeSnapshot, PodInfo } from './pod-info.ts';
import { bestNode, scoreNodes } from './scores.ts';

/** The end of the search: a node, or why none, or a failure that says nothing about the nodes. */
export type Search =
  | { readonly kind: 'found'; readonly node: string }
  | {
      readonly kind: 'none';
      readonly rejections: ReadonlyMap<string, Rejection>;
      /** Who must change their mind for the pod to fit. */
      readonly rejectors: ReadonlySet<Rejector>;
    }
  | { readonly kind: 'error'; readonly message: string };

interface SearchContext {
  readonly snapshot: NodeSnapshot;
  readonly nominator: Nominator;
  readonly extenders: readonly Extender[];
}

/** `SchedulePod`: filters, then scores. The nominated node is tried first and, where the pod fits there, alone. */
export async function findNode(info: PodInfo, context: SearchContext): Promise<Search> {
  const rejections = new Map<string, Rejection>();
  const rejectors = new Set<Rejector>();
  const { snapshot } = context;
  let feasible: readonly NodeInfo[] = [];
  const nominated = snapshot.get(info.pod.nominatedNodeName ?? '');
  if (nominated !== undefined) {
    try {
      feasible = await filter(info, [nominated], context, { rejections, rejectors });
    } catch (error) {
      // Only logged there: all nodes are tried next.
      if (!(error instanceof ExtenderError)) throw error;
    }
  }
  if (feasible.length === 0) {
    try {
      feasible = await filter(info, [...snapshot.values()], context, { rejections, rejectors });
    } catch (error) {
      if (error instanceof ExtenderError) return { kind: 'error', message: error.message };
      throw error;
    }
  }
  const [first] = feasible;
  if (first === undefined) return { kind: 'none', rejections, rejectors };
  if (feasible.length === 1) return { kind: 'found', node: first.node.name };
  return { kind: 'found', node: await prioritise(info, feasible, context) };
}

async function filter(
  info: PodInfo,
  nodes: readonly NodeInfo[],
  { nominator, extenders }: SearchContext,
  found: { readonly rejections: Map<string, Rejection>; readonly rejectors: Set<Rejector> },
): Promise<readonly NodeInfo[]> {
  let feasible: readonly NodeInfo[] = nodes.filter((node) => {
    const rejection = filterWithNominated(info, node, nominator);
    if (rejection === null) return true;
    found.rejections.set(node.node.name, rejection);
    found.rejectors.add(rejection.rejector);
    return false;
  });
  for (const extender of extenders) {
    if (feasible.length === 0) break;
    if (!extender.supports('filter') || !extender.isInterestedIn(info)) continue;
    const before = feasible.length;
    try {
      const result = await extender.filter(info, feasible);
      const reject = (messages: Readonly<Record<string, string>>, unresolvable: boolean): void => {
        for (const [node, reason] of Object.entries(messages)) {
          found.rejections.set(node, { rejector: 'Extender', unresolvable, reasons: [reason] });
        }
      };
      reject(result.failed, false);
      reject(result.unresolvable, true); // wins where a node is in both
      feasible = result.feasible;
    } catch (error) {
      if (error instanceof ExtenderError && extender.isIgnorable) continue;
      throw error;
    }
    if (feasible.length !== before) found.rejectors.add('Extender');
  }
  return feasible;
}

/** Extenders that fail to prioritise are passed over, ignorable or not. */
async function prioritise(info: PodInfo, nodes: readonly NodeInfo[], { extenders }: SearchContext): Promise<string> {
  const scores = scoreNodes(info, nodes);
  const asked = extenders.filter((extender) => extender.supports('prioritize') && extender.isInterestedIn(info));
  const answers = await Promise.allSettled(asked.map((extender) => extender.prioritize(info, nodes)));
  for (const answer of answers) {
    if (answer.status === 'rejected') {
      if (answer.reason instanceof ExtenderError) continue;
      throw answer.reason;
    }
    for (const [host, score] of answer.value) {
      const builtIn = scores.get(host);
      if (builtIn !== undefined) scores.set(host, builtIn + score);
    }
  }
  return bestNode(scores);
}
