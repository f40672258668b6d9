import type { Program } from '../types.ts';

/** `psql`, whose answers are facts. */
const PSQL = 'psql -qAtX -h /tmp -U postgres';
const MARIADB = 'mariadb --socket=/tmp/mariadb.sock';
const REDIS = 'redis-cli -s /tmp/redis.sock';

export const DATABASES: readonly Program[] = [
  {
    slug: 'postgresql',
    name: 'PostgreSQL with sessions and an exporter',
    load: 'pgbench with 4 sessions, an open transaction in a fifth, and an exporter in a container of its own that asks over TCP',
    image: 'services',
    needs: {
      debian: ['postgresql', 'prometheus-postgres-exporter', 'curl'],
      compiled: ['other-user.c'],
    },
    // PostgreSQL refuses to run as root, and root without CAP_SYS_RESOURCE cannot save the processes of other users.
    start: `
      export LD_PRELOAD=/opt/bin/other-user PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
      echo 'pg:x:1000:1000::/:/bin/sh' >>/etc/passwd
      mkdir -m 700 /work/data && chown 1000 /work/data
      initdb -D /work/data -A trust -U postgres >/dev/null
      (until ${PSQL} -c 'create table held (n int)'; do sleep 0.5; done
       pgbench -h /tmp -U postgres -q -i -s 5 postgres
       (echo "set application_name = 'held'; begin; insert into held values (1);"; exec sleep infinity) | ${PSQL} &
       exec pgbench -h /tmp -U postgres -c 4 -T 100000 postgres) >/tmp/load.log 2>&1 &
      exec postgres -D /work/data -k /tmp -c listen_addresses='*'`,
    beside: {
      exporter: `
        export DATA_SOURCE_NAME='postgresql://postgres@127.0.0.1:5432/postgres?sslmode=disable'
        exec prometheus-postgres-exporter`,
    },
    look: `
      ${PSQL} -c "select 'transactions ' || count(*) from pgbench_history" \\
        -c "select 'open-transaction ' || min(pid) from pg_stat_activity where application_name = 'held' and state = 'idle in transaction'" \\
        -c "select 'sessions ' || count(*) from pg_stat_activity where application_name = 'pgbench'" \\
        -c "select 'balanced ' || ((select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches))" \\
        -c "select 'started ' || extract(epoch from pg_postmaster_start_time())"
      curl -s --max-time 3 http://127.0.0.1:9187/metrics | awk '$1 == "pg_up" {print "exporter", $2}'`,
    judge: {
      grows: ['transactions'],
      same: ['open-transaction', 'started'],
      is: { sessions: '4', balanced: 'true', exporter: '1' },
    },
    mustBeWhole: true,
  },
  {
    slug: 'mariadb',
    name: 'MariaDB',
    load: 'one session that inserts rows through the unix socket',
    image: 'services',
    needs: { debian: ['mariadb-server'] },
    start: `
      mariadb-install-db --user=root --datadir=/work/mariadb --auth-root-authentication-method=normal >/dev/null 2>&1
      (until ${MARIADB} -e 'create database app; create table app.t (n int auto_increment primary key, v char(200))'; do sleep 0.5; done
       while :; do echo "insert into t (v) values (repeat('x', 200));"; sleep 0.02; done | ${MARIADB} --unbuffered app) >/tmp/load.log 2>&1 &
      exec mariadbd --user=root --datadir=/work/mariadb --socket=/tmp/mariadb.sock --pid-file=/tmp/mariadb.pid`,
    look: `
      ${MARIADB} -NBe "select 'rows', count(*) from app.t; select 'session', min(id) from information_schema.processlist where db = 'app'; check table app.t" |
        awk '$1 == "app.t" {print "table", $4; next} {print $1, $2}'`,
    judge: { grows: ['rows'], same: ['session'], is: { table: 'OK' } },
  },
  {
    slug: 'redis',
    name: 'Redis with AOF and RDB',
    load: 'one client that counts through the unix socket, 50,000 keys, the append-only file, a snapshot each second',
    image: 'sample',
    needs: { debian: ['redis-server', 'redis-tools'] },
    start: `
      (until ${REDIS} ping; do sleep 0.3; done
       seq 50000 | sed 's/.*/set key& value-of-&/' | ${REDIS} --pipe
       exec ${REDIS} -r -1 -i 0.01 incr count) >/dev/null 2>&1 &
      exec redis-server --dir /work --unixsocket /tmp/redis.sock --appendonly yes --save 1 1`,
    look: `
      echo "count $(${REDIS} get count)"
      echo "key $(${REDIS} get key31337)"
      echo "keys $(${REDIS} dbsize)"
      echo "client $(${REDIS} client list | grep -o ' cmd=incr' | wc -l)"
      ${REDIS} info persistence | tr -d '\\r' | tr ':' ' ' | grep -E '^(rdb_last_bgsave_status|aof_last_write_status) '
      ${REDIS} info server | tr -d '\\r' | tr ':' ' ' | grep -E '^run_id '`,
    judge: {
      grows: ['count'],
      same: ['run_id'],
      is: {
        key: 'value-of-31337',
        keys: '50001',
        client: '1',
        rdb_last_bgsave_status: 'ok',
        aof_last_write_status: 'ok',
      },
    },
    mustBeWhole: true,
  },
  {
    slug: 'lmdb',
    name: 'LMDB (files mapped into memory for writing)',
    load: 'a writer that maps the database writable, and a reader with an open snapshot',
    image: 'science',
    needs: { debian: ['python3-lmdb'] },
    sources: ['lmdb_store.py', 'facts.py'],
    start: 'exec python3 -u /programs/lmdb_store.py',
    look: 'cat /work/state',
    judge: { grows: ['records'], same: ['snapshot'], is: { intact: 'yes' } },
  },
  {
    slug: 'sqlite',
    name: 'SQLite in WAL mode',
    load: 'a writer and a reader with an open transaction, both with the shared index mapped',
    image: 'sample',
    needs: { debian: ['python3'] },
    sources: ['sqlite_wal.py', 'facts.py'],
    start: 'exec python3 -u /programs/sqlite_wal.py',
    look: 'cat /work/state',
    judge: { grows: ['rows'], same: ['snapshot'], is: { integrity: 'ok', journal: 'wal' } },
    mustBeWhole: true,
  },
];
