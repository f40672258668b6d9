import { createHash } from 'node:crypto';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import type { KubeObject } from '../transport.ts';
import { canonicalJson } from './canonical-json.ts';
import { serviceAccountVolumesOf } from './service-account-volume.ts';
import { wireOf, type Wire } from './wire.ts';

/**
 * SHA-256 (hex) over what must be equal for the state of one pod to continue in another: what runs, as whom, and on
 * which files. Two pods of one template have one shape, whatever name, node, gate, runtime class or generated token
 * volume they got. Image tags are compared here; the agent compares their digests before it restores.
 */
export function restoreShapeOf(rawPod: KubeObject): string {
  const spec = wireOf<V1Pod>(rawPod).spec ?? {};
  const generated = serviceAccountVolumesOf(spec);
  const shape = {
    containers: containerShapes(spec.containers, generated),
    initContainers: containerShapes(spec.initContainers, generated),
    securityContext: unlessEmpty(spec.securityContext),
    hostNetwork: spec.hostNetwork || undefined,
    shareProcessNamespace: spec.shareProcessNamespace || undefined,
    volumes: unlessEmpty(spec.volumes?.filter(({ name }) => !generated.has(name ?? '')).sort(byName)),
  };
  return createHash('sha256').update(canonicalJson(shape)).digest('hex');
}

function containerShapes(
  containers: readonly Wire<V1Container>[] | null | undefined,
  generated: ReadonlySet<string>,
): object | undefined {
  const shapes = (containers ?? []).map((container) => ({
    name: container.name,
    image: container.image,
    command: unlessEmpty(container.command),
    args: unlessEmpty(container.args),
    securityContext: unlessEmpty(container.securityContext),
    volumeMounts: unlessEmpty(
      container.volumeMounts?.filter(({ name }) => !generated.has(name ?? '')).sort(byMountPath),
    ),
  }));
  return unlessEmpty(shapes.sort(byName));
}

/** `securityContext: {}` and no securityContext at all are the same; which of the two is stored depends on the client. */
function unlessEmpty<T extends object>(value: T | null | undefined): T | undefined {
  return value && Object.keys(value).length > 0 ? value : undefined;
}

type Named = { readonly name?: string | null | undefined };
type Mount = { readonly mountPath?: string | null | undefined };

function byName(a: Named, b: Named): number {
  return compare(a.name ?? '', b.name ?? '');
}

function byMountPath(a: Mount, b: Mount): number {
  return compare(a.mountPath ?? '', b.mountPath ?? '');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
