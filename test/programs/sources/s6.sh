# A service and its logger, as s6-svscan expects them.
mkdir -p /work/services/count/log /work/log
cat >/work/services/count/run <<'X'
#!/bin/sh
exec 2>&1
(while :; do echo line; sleep 0.1; done) &
exec sh /programs/count.sh count
X
cat >/work/services/count/log/run <<'X'
#!/bin/sh
exec s6-log n3 s1000000 /work/log
X
chmod 755 /work/services/count/run /work/services/count/log/run
exec s6-svscan /work/services
