import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { protectionOf, type Protection } from '../../domain/protection.ts';
import { circumstancesIn } from '../../index/circumstances.ts';
import type { ClusterView } from '../../index/types.ts';

/** Whether the pod on that node is saved before it is evicted, by the policies of today. */
export function protectionIn(view: ClusterView, pod: Pod, node: Node | undefined): Protection {
  return protectionOf(pod, node, view.policies(), view.namespaceLabels(pod.namespace), circumstancesIn(view));
}
