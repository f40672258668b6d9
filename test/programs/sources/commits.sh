# Commits, repacks, checks and clones, again and again.
export HOME=/work GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main /work/repository && cd /work/repository || exit 1
commits=0 checks=0 failed=0
while :; do
  head -c 20000 /dev/urandom | base64 >"file$((commits % 50))"
  git add -A && git commit -q -m "commit $commits" || failed=$((failed + 1))
  commits=$((commits + 1))
  if [ $((commits % 10)) -eq 0 ]; then
    rm -rf /work/clone
    git gc -q && git clone -q --no-local /work/repository /work/clone && git -C /work/clone fsck --full >/dev/null 2>&1 ||
      failed=$((failed + 1))
    checks=$((checks + 1))
  fi
  printf 'commits %s\nchecks %s\nfailed %s\n' "$commits" "$checks" "$failed" >/work/.state
  mv /work/.state /work/state
done
