import { z } from 'zod';
import type { RunCommand } from './command.ts';
import type { ContainerIdentity } from './containers.ts';

/** What CRI-O says in the bundle itself. */
const CRIO_IMAGE = 'io.kubernetes.cri-o.ImageRef';
const METADATA = 'io.cri-containerd.container.metadata';

const container = z.object({ Extensions: z.object({ [METADATA]: z.object({ value: z.string() }) }) });
const metadata = z.object({ Metadata: z.object({ ImageRef: z.string().min(1) }) });

/**
 * The image a container runs, as the digest of its configuration (`sha256:…`): the same on every node, whatever the image is
 * called there. containerd keeps it beside the bundle, known as soon as the container is being created.
 */
export async function imageOf(
  { id, spec }: Pick<ContainerIdentity, 'id' | 'spec'>,
  { run, containerdAddress }: { readonly run: RunCommand; readonly containerdAddress: string },
): Promise<string> {
  const told = spec.annotations?.[CRIO_IMAGE];
  if (told !== undefined) return told;
  const args = ['--address', containerdAddress, '--namespace', 'k8s.io', 'containers', 'info', id];
  const { stdout } = await run('ctr', args);
  const { value } = container.parse(JSON.parse(stdout)).Extensions[METADATA];
  return metadata.parse(JSON.parse(Buffer.from(value, 'base64').toString('utf8'))).Metadata.ImageRef;
}
