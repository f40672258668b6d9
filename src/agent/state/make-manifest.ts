import { securityContextOf } from '../runtime/security-context.ts';
import type { Manifest } from './manifest.ts';

/** A manifest of a pod with one container and no files. For tests. */
export function makeManifest(parts: Partial<Manifest> = {}): Manifest {
  return {
    version: 1,
    pod: { namespace: 'shop', name: 'web-0', uid: 'u1' },
    takenAt: '2026-11-20T10:00:00.000Z',
    compatibility: 'x86-1',
    containers: [{ name: 'web', image: 'sha256:1', security: securityContextOf({}), mounts: ['/cache', '/proc'] }],
    volumes: [],
    files: [],
    ...parts,
  };
}
