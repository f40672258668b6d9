import { IMAGES } from './images.ts';

export interface HogShape {
  /** Pins it to this node. */
  readonly node?: string;
  /** What it holds; default 16. */
  readonly mebibytes?: number;
  readonly priorityClassName?: string;
  readonly runtimeClassName?: string;
  readonly cpu?: string;
}

export const HOG_PORT = 8080;

/** A pod with the program `hog`, which counts in /count, on stdout and on {@link HOG_PORT}. */
export function hog(name: string, shape: HogShape = {}): object {
  const { node, mebibytes = 16, priorityClassName = 'batch', runtimeClassName, cpu = '100m' } = shape;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      priorityClassName,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      ...(runtimeClassName !== undefined && { runtimeClassName }),
      ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
      containers: [
        {
          name: 'main',
          image: IMAGES.testTools,
          imagePullPolicy: 'Never',
          command: ['hog', String(mebibytes), String(HOG_PORT)],
          resources: { requests: { cpu, memory: `${mebibytes + 16}Mi` } },
        },
      ],
    },
  };
}
