import type { OciSpec } from '../runtime/oci-spec.ts';
import { securityContextOf, type SecurityContext } from '../runtime/security-context.ts';
import type { Manifest } from '../state/manifest.ts';
import type { Refusal } from '../state/refusal.ts';

/** What is known of the new pod and of this node besides the container's own spec. */
export interface RestoreFacts {
  readonly namespace: string;
  /** Name of the container in its pod. */
  readonly container: string;
  /** Its image id with digest, in the same form as in the manifest. */
  readonly image: string;
  /** The class of this node; null: not known. */
  readonly compatibility: string | null;
}

/** Whether a container may continue as the saved one of the same name: null, or the first thing that is in the way. */
export function check(manifest: Manifest, spec: OciSpec, facts: RestoreFacts): Refusal | null {
  if (manifest.pod.namespace !== facts.namespace) {
    return refusal('OwnerDiffers', `saved in namespace ${manifest.pod.namespace}, the pod is in ${facts.namespace}`);
  }
  if (manifest.compatibility !== facts.compatibility) {
    return refusal(
      'Incompatible',
      `saved on a node of class ${manifest.compatibility ?? 'unknown'}, this one is of ${facts.compatibility ?? 'unknown'}`,
    );
  }
  const saved = manifest.containers.find(({ name }) => name === facts.container);
  if (saved === undefined) return refusal('ImagesDiffer', `no container ${facts.container} was saved`);
  if (saved.image !== facts.image) {
    return refusal('ImagesDiffer', `${saved.name} was saved with image ${saved.image}, the pod has ${facts.image}`);
  }
  const difference = securityDifference(saved.security, securityContextOf(spec));
  if (difference !== null) return refusal('SecurityContextDiffers', `${saved.name}: ${difference}`);
  const mounts = new Set((spec.mounts ?? []).map(({ destination }) => destination));
  const missing = saved.mounts.find((destination) => !mounts.has(destination));
  if (missing !== undefined)
    return refusal('MountsDiffer', `${saved.name} had a mount at ${missing}, the pod has none`);
  const known = new Set(saved.mounts);
  // A restored process would not see it, and nobody would notice.
  const extra = [...mounts].find((destination) => !known.has(destination));
  if (extra !== undefined) return refusal('MountsDiffer', `the pod has a mount at ${extra}, ${saved.name} had none`);
  return null;
}

/** The first permission that is not the same, both values named. */
function securityDifference(saved: SecurityContext, now: SecurityContext): string | null {
  for (const key of Object.keys(now) as (keyof SecurityContext)[]) {
    const [before, after] = [saved[key], now[key]];
    if (Array.isArray(before) && Array.isArray(after)) {
      const lost = before.find((item) => !after.includes(item));
      if (lost !== undefined) return `${key} had ${lost}, the pod has not`;
      const added = after.find((item) => !before.includes(item));
      if (added !== undefined) return `${key} had not ${added}, the pod has`;
      if (before.length !== after.length) return `${key} had ${before.length} entries, the pod has ${after.length}`;
    } else if (before !== after) {
      return `${key} was ${shown(before)}, the pod has ${shown(after)}`;
    }
  }
  return null;
}

function shown(value: unknown): string {
  return value === '' ? 'none' : String(value);
}

function refusal(reason: Refusal['reason'], message: string): Refusal {
  return { reason, message };
}
