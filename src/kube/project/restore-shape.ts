import { createHash } from 'node:crypto';
import type { V1Container, V1Pod, V1PodSpec } from '@kubernetes/client-node';
import { FIELD_DIGITS, joinShape, SHAPE_FIELDS, type ShapeField } from '../../domain/restore-shape.ts';
import type { KubeObject } from '../transport.ts';
import { canonicalJson } from './canonical-json.ts';
import { serviceAccountVolumesOf } from './service-account-volume.ts';
import { wireOf, type Wire } from './wire.ts';

type Container = Wire<V1Container>;

/**
 * SHA-256 (hex) over what must be equal for the state of one pod to continue in another: what runs, as whom, with which
 * settings, and on which files; with a short digest of each field. Two pods of one template have one shape, whatever name, node,
 * gate, runtime class or generated token volume they got. Image tags are compared here; the agent compares their digests before
 * it restores.
 */
export function restoreShapeOf(rawPod: KubeObject): string {
  const fields = fieldsOf(wireOf<V1Pod>(rawPod).spec ?? {});
  const texts = SHAPE_FIELDS.map((field) => canonicalJson(fields[field]));
  const digests = texts.map((text) => sha256(text).slice(0, FIELD_DIGITS));
  return joinShape(sha256(JSON.stringify(texts)), digests);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function fieldsOf(spec: Wire<V1PodSpec>): Readonly<Record<ShapeField, unknown>> {
  const generated = serviceAccountVolumesOf(spec);
  /** What all containers say, by their names; nothing where none says anything. */
  const ofContainers = (say: (container: Container) => unknown): unknown => {
    const said = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
      .map((container) => [container.name, say(container)] as const)
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => compare(a ?? '', b ?? ''));
    return unlessEmpty(said);
  };
  return {
    'container names': [
      (spec.containers ?? []).map(({ name }) => name ?? '').sort(compare),
      (spec.initContainers ?? []).map(({ name, restartPolicy }) => `${name} ${restartPolicy ?? ''}`).sort(compare),
    ],
    image: ofContainers(({ image }) => image ?? undefined),
    command: ofContainers(({ command, workingDir }) => unlessEmpty([command ?? [], workingDir ?? ''].flat())),
    args: ofContainers(({ args }) => unlessEmpty(args)),
    env: ofContainers(({ env }) =>
      unlessEmpty(env?.filter(({ valueFrom }) => !valueFrom).map(({ name, value }) => [name, value ?? ''])),
    ),
    'env valueFrom': ofContainers(({ env }) => unlessEmpty(env?.filter(({ valueFrom }) => valueFrom))),
    envFrom: ofContainers(({ envFrom }) => unlessEmpty(envFrom)),
    lifecycle: ofContainers(({ lifecycle }) => unlessEmpty(lifecycle)),
    securityContext: [
      unlessEmpty(spec.securityContext),
      ofContainers(({ securityContext }) => unlessEmpty(securityContext)),
    ],
    volumeMounts: ofContainers(({ volumeMounts, volumeDevices }) =>
      unlessEmpty([
        ...(volumeMounts?.filter(({ name }) => !generated.has(name ?? '')).sort(byMountPath) ?? []),
        ...(volumeDevices ?? []),
      ]),
    ),
    volumes: unlessEmpty(spec.volumes?.filter(({ name }) => !generated.has(name ?? '')).sort(byName)),
    hostname: [spec.hostname || undefined, spec.setHostnameAsFQDN || undefined],
    subdomain: spec.subdomain || undefined,
    serviceAccountName: spec.serviceAccountName || undefined,
    'host and shared namespaces': [
      spec.hostNetwork || undefined,
      spec.hostPID || undefined,
      spec.hostIPC || undefined,
      spec.shareProcessNamespace || undefined,
    ],
  };
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
