#!/bin/sh
# Counts ten times a second in /work/NAME, as a line `NAME count`.
n=0
while :; do
  n=$((n + 1))
  echo "$1 $n" >"/work/.$1"
  mv "/work/.$1" "/work/$1"
  sleep 0.1
done
