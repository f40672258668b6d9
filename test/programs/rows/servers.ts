import type { Program } from '../types.ts';

/** Asks one URL for ever, and counts the answers that begin as expected. */
const asking = (url: string, expected: string): string => `
  (n=0
   while :; do
     case "$(curl -s --max-time 2 ${url})" in ${expected}*) n=$((n + 1)); echo "answers $n" >/work/asked.new; mv /work/asked.new /work/asked ;; esac
     sleep 0.02
   done) &`;

export const SERVERS: readonly Program[] = [
  {
    slug: 'nginx',
    name: 'nginx',
    load: 'a client in a loop, a kept-alive connection, two workers, the log on stdout',
    image: 'sample',
    needs: { debian: ['nginx-light', 'curl', 'python3', 'procps'] },
    sources: ['nginx.conf', 'keep_alive.py'],
    start: `
      mkdir -p /work/html && echo hello >/work/html/index.html
      ${asking('http://127.0.0.1/', 'hello')}
      python3 /programs/keep_alive.py &
      exec nginx -c /programs/nginx.conf`,
    look: `
      cat /work/asked
      echo "workers $(pgrep -P 1 -x nginx | sort -n | tr '\\n' ',')"
      echo "cycle $(cat /run/nginx.pid)"`,
    judge: { grows: ['answers'], same: ['workers'], is: { cycle: '1' } },
    mustBeWhole: true,
  },
  {
    slug: 'haproxy',
    name: 'HAProxy',
    load: 'a client in a loop through it to two servers',
    image: 'services',
    needs: { debian: ['haproxy', 'curl', 'python3', 'socat'] },
    sources: ['haproxy.cfg'],
    start: `
      mkdir -p /work/html && echo hello >/work/html/index.html
      for port in 8001 8002; do python3 -m http.server -d /work/html $port >/dev/null 2>&1 & done
      ${asking('http://127.0.0.1:8000/', 'hello')}
      exec haproxy -db -f /programs/haproxy.cfg`,
    look: `
      cat /work/asked
      echo 'show info' | socat - UNIX-CONNECT:/tmp/haproxy.sock | tr -d ':' | grep -E '^(Pid|CumReq) '
      echo 'show stat' | socat - UNIX-CONNECT:/tmp/haproxy.sock | awk -F, '$1 == "back" && $2 ~ /^s/ {print $2, $18}'`,
    judge: { grows: ['answers', 'CumReq'], same: ['Pid'], is: { s1: 'UP', s2: 'UP' } },
  },
  {
    slug: 'rabbitmq',
    name: 'RabbitMQ',
    load: 'a publisher with confirms and a consumer, which connect again; a durable queue with 500 messages that nobody takes',
    image: 'services',
    needs: { debian: ['rabbitmq-server', 'python3-pika', 'procps'] },
    sources: ['rabbit.py', 'facts.py'],
    start: `
      export HOME=/work RABBITMQ_MNESIA_BASE=/work/rabbitmq RABBITMQ_LOG_BASE=/work/rabbitmq-log RABBITMQ_LOGS=-
      mkdir -p $RABBITMQ_MNESIA_BASE $RABBITMQ_LOG_BASE
      python3 -u /programs/rabbit.py &
      exec /usr/lib/rabbitmq/bin/rabbitmq-server >/dev/null`,
    look: `
      cat /work/state
      echo "beam $(pgrep -x beam.smp)"`,
    judge: { grows: ['consumed'], same: ['beam'], is: { parked: '500' } },
  },
  {
    slug: 'gunicorn',
    name: 'gunicorn with Flask',
    load: 'a client in a loop, three workers that were forked from one parent',
    image: 'services',
    needs: { debian: ['python3', 'curl', 'procps'], pypi: ['gunicorn', 'flask'] },
    sources: ['web.py'],
    start: `
      ${asking('http://127.0.0.1:8000/', 'hello')}
      export PYTHONPATH=/opt/pypi:/programs
      exec python3 -m gunicorn --workers 3 --bind 0.0.0.0:8000 web:app`,
    look: `
      cat /work/asked
      echo "workers $(pgrep -P 1 -f gunicorn | sort -n | tr '\\n' ',')"`,
    judge: { grows: ['answers'], same: ['workers'] },
  },
  {
    slug: 'go',
    name: 'Go net/http',
    load: 'a client in a loop, goroutines with timers, a map of 100,000 entries',
    image: 'services',
    needs: { debian: ['curl'], compiled: ['server.go'] },
    start: `
      ${asking('http://127.0.0.1:8000/', 'hello')}
      # From 1.24 on Go listens with MPTCP, which CRIU cannot save.
      export GODEBUG=multipathtcp=0
      exec /opt/bin/server`,
    look: `
      cat /work/asked
      curl -s --max-time 3 http://127.0.0.1:8000/facts`,
    judge: { grows: ['answers', 'ticks'], same: ['started', 'sum'] },
    mustBeWhole: true,
  },
  {
    slug: 'tokio',
    name: 'Rust with tokio',
    load: 'a client in a loop, tasks with timers, two worker threads',
    image: 'services',
    needs: { debian: ['curl'], compiled: ['tokio.rs'] },
    start: `
      ${asking('http://127.0.0.1:8000/', 'hello')}
      exec /opt/bin/tokio`,
    look: `
      cat /work/asked
      curl -s --max-time 3 http://127.0.0.1:8000/facts`,
    judge: { grows: ['answers', 'ticks'], same: ['started'] },
  },
  {
    slug: 'nodejs',
    name: 'Node.js with Express, seccomp RuntimeDefault',
    load: 'a client in a loop, timers, a worker thread, 200,000 strings',
    image: 'services',
    needs: { debian: ['curl', 'libstdc++6', 'libatomic1'], npm: ['express', 'node'] },
    sources: ['server.mjs'],
    start: `
      ${asking('http://127.0.0.1:8000/', 'hello')}
      cp /programs/server.mjs /opt/npm/server.mjs
      exec /opt/npm/node_modules/node/bin/node /opt/npm/server.mjs`,
    look: `
      cat /work/asked
      curl -s --max-time 3 http://127.0.0.1:8000/facts`,
    judge: { grows: ['answers', 'ticks', 'worker'], same: ['started', 'strings'] },
    mustBeWhole: true,
  },
];
