/*
 * hog MIB [PORT [FILE [lock]]]: a workload whose state can be checked from outside.
 *
 * It fills MIB MiB with random data, then counts ten times a second: in FILE (default /count; opened once, rewritten in
 * place) and on stdout. Each count changes a word of one block and checks that block; data that is not what it wrote ends it with 3.
 * Whoever connects to PORT (default 8080) gets "count=<k> data=ok\n" after a check of all blocks, or data=corrupt.
 * With `lock` it holds a lock on FILE all the time, which CRIU refuses to save.
 * SIGTERM is not handled: as process 1 it does not end before its grace period has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_WORDS = 1 << 17, TICK_MS = 100 }; /* blocks of 1 MiB */

static uint64_t *data, *sums, state;
static size_t blocks;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static uint64_t sum(size_t block) {
  const uint64_t *word = data + block * BLOCK_WORDS;
  uint64_t total = block;
  for (size_t i = 0; i < BLOCK_WORDS; i++) total = (total << 1 | total >> 63) ^ word[i];
  return total;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void answer(int server, long count) {
  int client = accept4(server, NULL, NULL, SOCK_CLOEXEC);
  if (client < 0) return;
  const char *verdict = "ok";
  for (size_t block = 0; block < blocks; block++)
    if (sum(block) != sums[block]) verdict = "corrupt";
  dprintf(client, "count=%ld data=%s\n", count, verdict);
  close(client);
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: hog MIB [PORT [FILE [lock]]]\n"), 2;
  blocks = strtoul(argv[1], NULL, 10);
  int port = argc > 2 ? atoi(argv[2]) : 8080;
  int file = open(argc > 3 ? argv[3] : "/count", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return perror("hog: file"), 1;
  if (argc > 4 && flock(file, LOCK_EX) != 0) return perror("hog: lock"), 1;
  signal(SIGPIPE, SIG_IGN);
  setvbuf(stdout, NULL, _IOLBF, 0);

  if (getrandom(&state, sizeof state, 0) != sizeof state) return perror("hog: getrandom"), 1;
  state |= 1;
  data = malloc((blocks * BLOCK_WORDS + 1) * sizeof *data);
  sums = malloc((blocks + 1) * sizeof *sums);
  if (!data || !sums) return perror("hog: malloc"), 1;
  for (size_t i = 0; i < blocks * BLOCK_WORDS; i++) data[i] = next();
  for (size_t block = 0; block < blocks; block++) sums[block] = sum(block);

  int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16)) return perror("hog: listen"), 1;

  int64_t due = now_ms();
  for (long count = 1;; count++) {
    if (blocks > 0) {
      size_t block = count % blocks;
      if (sum(block) != sums[block]) return fprintf(stderr, "hog: block %zu is corrupt\n", block), 3;
      data[block * BLOCK_WORDS + next() % BLOCK_WORDS] ^= next();
      sums[block] = sum(block);
    }
    char line[32];
    int length = snprintf(line, sizeof line, "%ld\n", count);
    if (pwrite(file, line, length, 0) != length) return perror("hog: write"), 1;
    printf("%s", line);
    /* Time that passed while nobody ran us is not made up for. */
    due = (now_ms() > due + 1000 ? now_ms() : due) + TICK_MS;
    for (int64_t left; (left = due - now_ms()) > 0;) {
      struct pollfd incoming = {.fd = server, .events = POLLIN};
      if (poll(&incoming, 1, left) > 0) answer(server, count);
    }
  }
}
