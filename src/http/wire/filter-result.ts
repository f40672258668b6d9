import type { NodeName } from '../../domain/ids.ts';
import type { FilterVerdict } from '../../engine/callbacks.ts';
import type { ExtenderArgs } from './extender-args.ts';

/**
 * Answer to `filter`: `ExtenderFilterResult`. Refused nodes stand in `FailedAndUnresolvableNodes`, so that
 * kube-scheduler does not try to make room on them by preemption either (facts: kube-scheduler 6). What was not asked
 * for (`Nodes` or `NodeNames`) is left out rather than null.
 */
export function filterResult({ request, nodes }: ExtenderArgs, { refused }: FilterVerdict): string {
  const isAllowed = (name: NodeName): boolean => !refused.has(name);
  const failed = request.nodeNames
    .filter((name) => refused.has(name))
    .map((name) => [name, refused.get(name) || 'refused by Reprieve']);
  return JSON.stringify({
    ...(nodes === null
      ? { NodeNames: request.nodeNames.filter(isAllowed) }
      : {
          Nodes: {
            metadata: {},
            items: nodes.filter((_, position) => isAllowed(request.nodeNames[position] as NodeName)),
          },
        }),
    FailedNodes: {},
    FailedAndUnresolvableNodes: Object.fromEntries(failed),
    Error: '',
  });
}
