import { describe, expect, it } from 'vitest';
import { dumpFailure } from './dump-failure.ts';

describe('dumpFailure', () => {
  it.each([
    [
      'Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.',
      'ConnectedTcp',
    ],
    [
      'Error (criu/sk-unix.c:863): unix: External socket is used. Consider using --ext-unix-sk option.',
      'ExternalSocket',
    ],
    ["Error (criu/sk-unix.c:1): unix: Can't dump half of stream unix connection.", 'ExternalSocket'],
    [
      'Error (criu/file-lock.c:110): Some file locks are hold by dumping tasks! You can try --file-locks to dump them.',
      'FileLocks',
    ],
    ["Error (criu/proc_parse.c:1): Can't open 7's mapfile link 7f00: No such device or address", 'IoUring'],
    ["Error (criu/files-reg.c:1): Can't lookup mount=21 for fd=1 path=/tmp/out", 'FileElsewhere'],
    ['Error (criu/image.c:1): Unable to write: No space left on device', 'NoSpace'],
    ['Error (criu/new.c:1): something unheard of', 'Other'],
  ])('knows %s', (line, reason) => {
    expect(
      dumpFailure(`(00.01) Info\n(00.02)     7: ${line}\n(00.03) Error (x:1): Dumping FAILED.\n`, ''),
    ).toMatchObject({
      reason,
    });
  });

  it('takes no warning for the reason', () => {
    expect(dumpFailure('(00.01) Warn  (criu/x.c:1): Connected TCP socket\n', 'runc failed')).toEqual({
      reason: 'Other',
      message: 'runc failed',
    });
  });
});
