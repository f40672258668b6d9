import { readFile } from 'node:fs/promises';

/**
 * Whether the process `<pid>:<start time>` still runs; true when that cannot be told. A pid alone would not do: the
 * kernel gives it to somebody else. The start time is field 22 of /proc/<pid>/stat (proc_pid_stat(5)).
 */
export async function isRunning(waiting: string): Promise<boolean> {
  const [pid, started] = waiting.split(':') as [string, string];
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === started && fields[0] !== 'Z';
  } catch (error) {
    return !['ENOENT', 'ESRCH'].includes(String((error as NodeJS.ErrnoException).code));
  }
}
