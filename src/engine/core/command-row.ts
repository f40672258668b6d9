import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ClusterWriter, WriteOutcome } from '../../ports/cluster-writer.ts';

/** What the engine has to know of one kind of command, beside what the command says. */
export interface CommandRow<Args> {
  /** Commands with the same key never overlap: they are about one object, and run one after the other. */
  readonly key: (args: Args) => string;
  /** What tells two commands of this kind about one object apart; absent: nothing does. */
  readonly asks?: (args: Args) => string;
  /** `namespace/name` of the object, and what is done to it. One log line shows it. */
  readonly about: (args: Args) => string;
  readonly carryOut: (writer: ClusterWriter, args: Args) => Promise<WriteOutcome>;
  /** Rest after a success. Absent: none. */
  readonly pauseMs?: number;
  /** The longest rest after failures in a row. Absent: that of the executor. */
  readonly longestPauseMs?: number;
}

export function row<Args>(given: CommandRow<Args>): CommandRow<Args> {
  return given;
}

export function podKey({ uid }: { readonly uid: string }): string {
  return `pod:${uid}`;
}

export function ticketKey({ uid }: { readonly uid: string }): string {
  return `ticket:${uid}`;
}

export function gateKey({ uid }: { readonly uid: string }): string {
  return `gate:${uid}`;
}

export function nameOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** Only a change of a nomination that is not empty wakes kube-scheduler (Kubernetes, pkg/scheduler/eventhandlers.go). */
export async function wake(writer: ClusterWriter, { pod, node }: { pod: Pod; node: NodeName }): Promise<WriteOutcome> {
  if (pod.nominatedNodeName === null) {
    const outcome = await writer.nominate(pod, node);
    if (outcome !== 'done') return outcome;
  }
  return writer.nominate(pod, null);
}
