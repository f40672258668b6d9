/** What objects of the API server say. An object is never changed, only replaced, so each is read once. */
import { checkpointOf as readCheckpoint } from '../../src/kube/project/checkpoint.ts';
import { nodeOf as readNode } from '../../src/kube/project/node.ts';
import { podOf as readPod } from '../../src/kube/project/pod.ts';
import { ticketOf as readTicket } from '../../src/kube/project/ticket.ts';
import type { KubeObject } from '../../src/kube/transport.ts';

export const checkpointOf = once(readCheckpoint);
export const nodeOf = once(readNode);
export const podOf = once(readPod);
export const ticketOf = once(readTicket);

function once<Value>(read: (object: KubeObject) => Value): (object: KubeObject) => Value {
  const known = new WeakMap<KubeObject, { readonly value: Value }>();
  return (object) => {
    let entry = known.get(object);
    if (entry === undefined) known.set(object, (entry = { value: read(object) }));
    return entry.value;
  };
}
