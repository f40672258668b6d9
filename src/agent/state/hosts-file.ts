import type { ContainerIdentity } from '../runtime/containers.ts';

/**
 * The /etc/hosts that the kubelet writes for a pod, as the node has it; null where the container has another one, and where the pod
 * uses the network of its node: then it is a copy of the node's.
 */
export function hostsFile({ spec, podUid }: Pick<ContainerIdentity, 'spec' | 'podUid'>): string | null {
  if (!spec.linux?.namespaces?.some(({ type }) => type === 'network')) return null;
  const source = spec.mounts?.find(({ destination }) => destination === '/etc/hosts')?.source;
  return source?.endsWith(`/pods/${podUid}/etc-hosts`) ? source : null;
}

/**
 * The hosts file of a new pod with what programs have added to that of the saved one. The kubelet's lines are those of the new pod:
 * a saved line that names what the new file names, or the saved pod itself, is one of them.
 */
export function withAddedHosts(now: string, saved: string, savedPod: string): string {
  const named = new Set(entriesIn(now).map(({ names }) => names));
  const added = entriesIn(saved).filter(
    ({ names }) => !named.has(names) && names.split(' ')[0] !== savedPod.slice(0, 63),
  );
  if (added.length === 0) return now;
  return `${now.replace(/\n?$/, '\n')}${added.map(({ line }) => `${line}\n`).join('')}`;
}

function entriesIn(text: string): readonly { readonly line: string; readonly names: string }[] {
  return text
    .split('\n')
    .map((line) => ({ line, names: (line.split('#', 1)[0] as string).trim().split(/\s+/).slice(1).join(' ') }))
    .filter(({ names }) => names !== '');
}
