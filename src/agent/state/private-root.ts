import { BULK_LIMIT_MS, type RunCommand } from '../runtime/command.ts';

export interface PrivateRootOptions {
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
  /** A file that the command reads on its standard input; default: nothing. */
  readonly input?: string;
  /** A file that takes what the command prints, in place of what was in it. */
  readonly output?: string;
}

/**
 * Arguments: the folder, the input, the output (empty: none), the command. The new root is a read-only tmpfs with the programs of
 * this file system, read-only, and the folder. It is mounted over /sys, which exists everywhere and holds no folder of a pod. The
 * command has no /proc: `/proc/<pid>/root` leads out. chroot(8) and not pivot_root(8), which util-linux of Debian leaves to a
 * package that few nodes have.
 */
const SCRIPT = `set -eu
folder=$1 input=$2 output=$3
shift 3
exec 3<"$input"
[ -z "$output" ] || exec >"$output"
mount -t tmpfs -o mode=0700,size=64k reprieve /sys
links= folders=
for place in /usr /bin /sbin /lib*; do
  if [ -L "$place" ]; then
    links="$links $place"
  elif [ -d "$place" ]; then
    folders="$folders $place"
  fi
done
[ -z "$links" ] || cp -P $links /sys
(cd /sys && mkdir folder $(echo "$folders" | sed 's, /, ,g'))
for place in $folders; do mount -o bind,ro "$place" "/sys$place"; done
mount --bind "$folder" /sys/folder
mount -o remount,ro /sys
exec chroot /sys /bin/sh -c 'cd /folder && exec "$@" <&3 3<&-' sh "$@"`;

/**
 * Runs a command of this node in a folder, which is all of the node that the command can change. Whoever can write to the folder may
 * put symbolic links in it, also while the command runs: none of them leads out. Resolves to what the command prints. Needs root;
 * rejects as `run` does.
 */
export async function runInRoot(
  folder: string,
  command: readonly [string, ...string[]],
  { run, signal, input = '/dev/null', output = '' }: PrivateRootOptions,
): Promise<string> {
  // `slave`: what is unmounted on the node meanwhile is unmounted here as well.
  const namespace = ['--mount', '--propagation', 'slave', '--', 'sh', '-c', SCRIPT, 'sh'];
  const { stdout } = await run('unshare', [...namespace, folder, input, output, ...command], {
    signal,
    limitMs: BULK_LIMIT_MS,
  });
  return stdout;
}
