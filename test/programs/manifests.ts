import { imageOf } from './images.ts';
import { readSource } from './trees.ts';
import type { Program } from './types.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games';

/** The pod of a program, which takes most of a node, and the ConfigMap with its files. */
export async function manifestsOf(program: Program): Promise<object[]> {
  const { slug, sources = [], start, beside = {} } = program;
  const files = await Promise.all(sources.map(async (file) => [file, await readSource(file)] as const));
  const container = (name: string, script: string, cpu: string): object => ({
    name,
    image: imageOf(program.image),
    imagePullPolicy: 'Never',
    command: ['/bin/sh', '-c', script],
    env: [{ name: 'PATH', value: PATH }],
    securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    resources: { requests: { cpu } },
    volumeMounts: [
      { name: 'work', mountPath: '/work' },
      { name: 'programs', mountPath: '/programs' },
    ],
  });
  const others = Object.entries(beside).map(([name, script]) => container(name, script, '10m'));
  const prefersNode1 = {
    weight: 100,
    preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node1'] }] },
  };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: slug }, data: Object.fromEntries(files) },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: slug, labels: { app: slug } },
      spec: {
        priorityClassName: 'batch',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [prefersNode1] } },
        volumes: [
          { name: 'work', emptyDir: {} },
          { name: 'programs', configMap: { name: slug } },
        ],
        containers: [container('main', start, '1500m'), ...others],
      },
    },
  ];
}
