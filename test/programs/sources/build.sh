# Compiles 40 files with make -j2, again and again.
mkdir -p /work/build && cd /work/build || exit 1
for number in $(seq 40); do
  {
    echo '#include <stdio.h>'
    for function in $(seq 300); do
      echo "int f${number}_$function(int x) { int y = 0; for (int i = 0; i < x; i++) y += i * $function % (x + 1); printf(\"%d\", y); return y; }"
    done
  } >"part$number.c"
done
printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\n%%.o: %%.c\n\tgcc -O2 -c $< -o $@\n\techo $@ >>/work/objects\n' >Makefile
failed=0
(while :; do
  echo "objects $(wc -l </work/objects)" >/work/.state
  echo "failed $(cat /work/failed)" >>/work/.state
  mv /work/.state /work/state
  sleep 0.3
done) 2>/dev/null &
echo 0 >/work/failed
while :; do
  make -s -j2 || failed=$((failed + 1))
  echo $failed >/work/failed
  rm -f ./*.o
done
