import type { NodeName } from '../../domain/ids.ts';
import type { FilterVerdict } from '../../engine/preemption/callbacks.ts';
import type { ExtenderArgs } from './extender-args.ts';

export interface FilterResult {
  readonly body: string | Buffer;
  /** Nodes of the request that are refused. */
  readonly refused: number;
}

const BEFORE = Buffer.from('{"NodeNames":[');
const NOBODY_FAILED = Buffer.from('],"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":""}');

/**
 * Answer to `filter`: `ExtenderFilterResult`. Refused nodes stand in `FailedAndUnresolvableNodes`, so that kube-scheduler
 * does not try to make room on them by preemption either (kubernetes, pkg/scheduler/schedule_one.go,
 * findNodesThatPassExtenders). What was not asked for (`Nodes` or `NodeNames`) is left out rather than null. Where nobody
 * is refused the names go back as they came.
 */
export function filterResult({ request, names, nodes }: ExtenderArgs, { refused }: FilterVerdict): FilterResult {
  if (refused.size === 0 && names !== null)
    return { body: Buffer.concat([BEFORE, names.bytes, NOBODY_FAILED]), refused: 0 };
  const isAllowed = (name: NodeName): boolean => !refused.has(name);
  const failed = new Map<NodeName, string>();
  if (refused.size > 0) {
    for (const name of request.nodeNames) {
      const why = refused.get(name);
      if (why !== undefined) failed.set(name, why || 'refused by Reprieve');
    }
  }
  const body = JSON.stringify({
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
  return { body, refused: failed.size };
}
