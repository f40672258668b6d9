import { z } from 'zod';
import type { NodeFiles } from './node-files.ts';
import { NODE_PATHS } from './node-paths.ts';

const schema = z.object({
  version: z.literal(1),
  files: z.record(
    z.string(),
    z.object({
      /** There was none before. */
      created: z.boolean(),
      /** SHA-256 of what we left, hexadecimal: tells whether somebody changed it since. */
      sha256: z.string(),
      backup: z.string().nullable(),
    }),
  ),
  /** Folders that we made, the innermost first. */
  folders: z.array(z.string()),
});

/** What was installed on a node, so that it can be taken back. */
export type InstallRecord = z.infer<typeof schema>;

/** An unreadable one is as good as none: then only what is recognisably ours is taken back. */
export function readRecord(files: NodeFiles): InstallRecord | null {
  const text = files.read(NODE_PATHS.record);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export function writeRecord(files: NodeFiles, record: InstallRecord): void {
  files.write(NODE_PATHS.record, `${JSON.stringify(record, null, 2)}\n`, 0o600);
}
