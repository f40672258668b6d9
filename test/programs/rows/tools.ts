import type { Program } from '../types.ts';

export const TOOLS: readonly Program[] = [
  {
    slug: 'configmap-script',
    name: 'Shell script from a ConfigMap',
    load: 'the shell holds the script open, as process 1',
    image: 'sample',
    needs: {},
    sources: ['count.sh'],
    start: 'exec /bin/sh /programs/count.sh count',
    look: 'cat /work/count',
    judge: { grows: ['count'] },
    mustBeWhole: true,
  },
  {
    slug: 'pipeline',
    name: 'Shell pipeline',
    load: 'five processes with data in the pipes between them, a subshell, a fifo',
    image: 'services',
    needs: { debian: ['gawk'] },
    start: `
      mkfifo /work/fifo
      (i=0; while :; do i=$((i + 1)); echo $i; done) | sed -u 's/$/ x/' | grep --line-buffered . | tee /work/fifo |
        awk '$1 != NR {wrong++} NR % 100 == 0 {print "lines", NR "\\nwrong", wrong + 0 >"/work/.state"; close("/work/.state"); system("mv /work/.state /work/state; sleep 0.05")}' &
      exec awk '{sum += $1} NR % 100 == 0 {print "fifo-lines", NR >"/work/fifo-state"; close("/work/fifo-state")}' /work/fifo`,
    look: 'cat /work/state /work/fifo-state',
    judge: { grows: ['lines', 'fifo-lines'], is: { wrong: '0' } },
  },
  {
    slug: 'supervisord',
    name: 'supervisord',
    load: 'three programs, one of which ends and is started again all the time, and its control socket',
    image: 'services',
    needs: { debian: ['supervisor', 'procps', 'curl'] },
    sources: ['supervisord.conf', 'count.sh'],
    start: 'exec supervisord -n -c /programs/supervisord.conf',
    look: `
      cat /work/first /work/second
      echo "starts $(wc -l </work/short)"
      echo "pids $(pgrep -f 'count.sh [f]irst'),$(pgrep -f 'count.sh [s]econd')"
      echo "control $(curl -s --max-time 3 --unix-socket /tmp/supervisor.sock -H 'Content-Type: text/xml' \
        -d '<methodCall><methodName>supervisor.getState</methodName></methodCall>' http://localhost/RPC2 | grep -o RUNNING)"`,
    judge: { grows: ['first', 'second', 'starts'], same: ['pids'], is: { control: 'RUNNING' } },
    mustBeWhole: true,
  },
  {
    slug: 'tini',
    name: 'tini as process 1',
    load: 'a program and orphans for tini to take in',
    image: 'services',
    needs: { debian: ['tini', 'procps'] },
    sources: ['count.sh'],
    start: `exec tini -- sh -c '(while :; do (sleep 0.3 &); sleep 0.2; done) & exec sh /programs/count.sh count'`,
    look: `
      cat /work/count
      echo "zombies $(ps -eo stat | grep -c '^Z')"
      echo "init $(cat /proc/1/comm)"`,
    judge: { grows: ['count'], is: { zombies: '0', init: 'tini' } },
  },
  {
    slug: 's6',
    name: 's6',
    load: 'a supervised service with a logger behind it',
    image: 'services',
    needs: { debian: ['s6', 'execline', 'procps'] },
    sources: ['s6.sh', 'count.sh'],
    start: 'exec sh /programs/s6.sh',
    look: `
      cat /work/count
      echo "logged $(cat /work/log/current /work/log/@* 2>/dev/null | wc -l)"
      echo "service $(s6-svstat -o up,pid /work/services/count | tr ' ' ',')"`,
    judge: { grows: ['count', 'logged'], same: ['service'] },
  },
  {
    slug: 'cron',
    name: 'cron',
    load: 'a job each minute, one under way',
    image: 'services',
    needs: { debian: ['cron', 'procps'] },
    start: `
      (echo 'SHELL=/bin/sh'; echo '* * * * * root echo job >>/work/jobs; for i in $(seq 1 1000); do echo "beats $i" >/work/.beats; mv /work/.beats /work/beats; sleep 0.1; done') >/etc/cron.d/job
      exec cron -f`,
    look: `
      cat /work/beats
      echo "cron $(pgrep -x cron | head -n 1)"`,
    judge: { grows: ['beats'], same: ['cron'] },
  },
  {
    slug: 'ffmpeg',
    name: 'ffmpeg',
    load: 'encoding a test picture with x264 on two threads, the file open',
    image: 'services',
    needs: { debian: ['ffmpeg'] },
    start: `exec ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc2=size=640x360:rate=25 -c:v libx264 -threads 2 -g 25 \\
        -progress /work/progress -stats_period 0.3 -f mpegts -y /work/out.ts </dev/null`,
    look: `
      echo "frames $(grep -a '^frame=' /work/progress | tail -n 1 | tr -dc 0-9)"
      echo "decoded $(ffprobe -v quiet -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 /work/out.ts)"`,
    judge: { grows: ['frames', 'decoded'] },
  },
  {
    slug: 'compile',
    name: 'Compile job (make and gcc)',
    load: 'make -j2 over many files, compilers under way',
    image: 'services',
    needs: { debian: ['gcc', 'libc6-dev', 'make', 'procps'] },
    sources: ['build.sh'],
    start: 'exec sh /programs/build.sh',
    look: 'cat /work/state',
    judge: { grows: ['objects'], is: { failed: '0' } },
  },
  {
    slug: 'git',
    name: 'git',
    load: 'commits, repacks, checks and clones in a loop',
    image: 'services',
    needs: { debian: ['git'] },
    sources: ['commits.sh'],
    start: 'exec sh /programs/commits.sh',
    look: 'cat /work/state',
    judge: { grows: ['commits', 'checks'], is: { failed: '0' } },
  },
  tmux({ slug: 'tmux', shell: 'bash' }),
  tmux({ slug: 'tmux-dash', shell: 'dash' }),
];

function tmux({ slug, shell }: { readonly slug: string; readonly shell: string }): Program {
  return {
    slug,
    name: `tmux with ${shell}`,
    load: `a server with two windows on terminals of its own: a script with a counter, and ${shell} at a prompt, to which keys are sent`,
    image: 'services',
    needs: { debian: ['tmux', 'procps', 'ncurses-base'] },
    sources: ['count.sh'],
    start: `
      export TERM=screen LANG=C.UTF-8
      tmux -S /tmp/tmux.sock new-session -d -s main 'exec sh /programs/count.sh one'
      tmux -S /tmp/tmux.sock new-window -t main 'exec ${shell}'
      n=0
      while :; do
        n=$((n + 1))
        tmux -S /tmp/tmux.sock send-keys -t main:1 "echo two $n >/work/two" Enter
        sleep 0.2
      done`,
    look: `
      cat /work/one /work/two
      echo "panes $(tmux -S /tmp/tmux.sock list-panes -a -F '#{pane_pid}' | tr '\\n' ',')"`,
    judge: { grows: ['one', 'two'], same: ['panes'] },
  };
}
