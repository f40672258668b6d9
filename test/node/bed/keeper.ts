import { HOG_PORT } from './hog.ts';
import { IMAGES } from './images.ts';

export type Owner = 'bare' | 'Job' | 'StatefulSet';

export interface KeeperShape {
  readonly mebibytes?: number;
  /** Holds a lock on a file, which makes its dump fail. */
  readonly locks?: boolean;
  readonly node?: string;
  readonly graceSeconds?: number;
  /** Of a bare one; default Always. */
  readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never';
}

/**
 * What it leaves in its root filesystem, in both kinds of emptyDir and in shared memory before it begins to count: files that
 * are created, changed, deleted, linked and owned by others, and a folder that hides that of the image.
 */
const SETUP = [
  'mkdir -p /work/sub && echo created >/work/sub/created && chmod 640 /work/sub/created && chown 1000:1001 /work/sub',
  'ln -s sub/created /work/symlink && ln -s /nowhere /work/dangling && ln /work/sub/created /work/hardlink',
  'echo changed >/etc/image-file && rm /bin/wc && rm -rf /data && mkdir /data && echo mine >/data/mine',
  'mkfifo /work/fifo && dd if=/dev/urandom of=/work/random bs=4096 count=64 2>/dev/null && chmod 4755 /work/random',
  'echo disk >/cache/file && chown 7:8 /cache/file && mkdir /cache/folder && echo memory >/fast/file',
  'echo shared >/dev/shm/segment && chmod 600 /dev/shm/segment',
].join(' && ');

/** Prints all of that as it is now: names, kinds, owners, modes, times, targets and digests. */
export const SHOW = [
  'find /work /data /cache /fast /dev/shm | sort | while read -r path; do',
  '  stat -c "%n %F %u:%g %a %Y %h" "$path"; if [ -f "$path" ]; then sha256sum <"$path"; fi',
  '  if [ -L "$path" ]; then readlink "$path"; fi; done; cat /etc/image-file; ls /bin/wc 2>&1; true',
].join('\n');

/** A workload with a state in every place where there can be one: memory, root filesystem, volumes, shared memory, a socket. */
export function keeper(name: string, owner: Owner, shape: KeeperShape = {}): object {
  const { mebibytes = 64, node, locks = false, graceSeconds = 30, restartPolicy = 'Always' } = shape;
  const probe = { tcpSocket: { port: HOG_PORT }, periodSeconds: 1, failureThreshold: 30 };
  const spec = {
    restartPolicy: owner === 'Job' ? 'Never' : restartPolicy,
    priorityClassName: 'batch',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: graceSeconds,
    ...(node !== undefined && {
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 100,
              preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
            },
          ],
        },
      },
    }),
    volumes: [
      { name: 'cache', emptyDir: {} },
      { name: 'fast', emptyDir: { medium: 'Memory' } },
    ],
    containers: [
      {
        name: 'main',
        image: IMAGES.testTools,
        imagePullPolicy: 'Never',
        command: ['sh', '-c', `${SETUP} && exec hog ${mebibytes} ${HOG_PORT}${locks ? ' /count lock' : ''}`],
        resources: { requests: { cpu: '1500m', memory: `${mebibytes + 16}Mi` } },
        volumeMounts: [
          { name: 'cache', mountPath: '/cache' },
          { name: 'fast', mountPath: '/fast' },
        ],
        livenessProbe: { ...probe, initialDelaySeconds: 1 },
      },
    ],
  };
  const labels = { app: name };
  if (owner === 'bare') return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec };
  const template = { metadata: { labels }, spec };
  if (owner === 'Job') {
    const rules = [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }];
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name },
      spec: { backoffLimit: 0, podFailurePolicy: { rules }, template },
    };
  }
  const selector = { matchLabels: labels };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name },
    spec: { replicas: 1, serviceName: name, selector, template },
  };
}

/** A pod of higher priority that needs the room of a keeper on that node. */
export function preemptor(name: string, node: string, cpu = '1500m'): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      priorityClassName: 'serving',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [
        {
          name: 'main',
          image: IMAGES.testTools,
          imagePullPolicy: 'Never',
          command: ['hog', '1'],
          resources: { requests: { cpu } },
        },
      ],
    },
  };
}
