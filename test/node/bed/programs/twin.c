/*
 * twin serve SOCKET PORT | ask SOCKET PORT | stay SOCKET PORT: two processes that count each other's messages.
 *
 * `ask` connects to the unix socket SOCKET ten times a second, anew for each message, and `stay` once for all of them. A
 * message is the number of it; `serve` answers with the number that it expected. Both count, in step: where one hears another
 * number than its own next one, it is out of step for good. Until the first message got through, `ask` waits for the socket to
 * be there; later, a message that nobody takes is lost, and it is out of step as well.
 * Whoever connects to PORT gets "count=<k> data=ok\n", or data=corrupt where it is out of step.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100, MOST_CLIENTS = 16 };

static long count;
static const char *verdict = "ok";

static void out_of_step(const char *what, long heard) {
  verdict = "corrupt";
  printf("%s: at %ld, heard %ld\n", what, count, heard);
}

static int listening(int family, const void *address, socklen_t length) {
  int server = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(server, address, length) || listen(server, 16)) perror("twin: listen"), exit(1);
  return server;
}

static void tell(int server) {
  int client = accept4(server, NULL, NULL, SOCK_CLOEXEC);
  if (client < 0) return;
  dprintf(client, "count=%ld data=%s\n", count, verdict);
  close(client);
}

static void serve(int told, const struct sockaddr_un *address) {
  unlink(address->sun_path);
  struct pollfd fds[2 + MOST_CLIENTS] = {{.fd = told, .events = POLLIN},
                                         {.fd = listening(AF_UNIX, address, sizeof *address), .events = POLLIN}};
  for (int used = 2;;) {
    if (poll(fds, used, -1) < 0) continue;
    if (fds[0].revents) tell(told);
    for (int i = used - 1; i > 1; i--) {
      if (!fds[i].revents) continue;
      long number;
      if (read(fds[i].fd, &number, sizeof number) == sizeof number) {
        long expected = count + 1;
        if (number != expected) out_of_step("asked", number);
        count = number;
        if (write(fds[i].fd, &expected, sizeof expected) != sizeof expected) out_of_step("answer", number);
      } else {
        close(fds[i].fd);
        fds[i] = fds[--used];
      }
    }
    if (fds[1].revents && used < 2 + MOST_CLIENTS) fds[used++] = (struct pollfd){accept(fds[1].fd, NULL, NULL), POLLIN, 0};
  }
}

static int connected(const struct sockaddr_un *address) {
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(server, (const struct sockaddr *)address, sizeof *address) == 0) return server;
  close(server);
  return -1;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void ask(int told, const struct sockaddr_un *address, int stays) {
  for (int server = -1;;) {
    int64_t due = now_ms() + TICK_MS;
    for (int64_t left; (left = due - now_ms()) > 0;) {
      struct pollfd incoming = {.fd = told, .events = POLLIN};
      if (poll(&incoming, 1, left) > 0) tell(told);
    }
    if (server < 0) server = connected(address);
    long number = count + 1, answer = -1;
    if (server < 0) {
      if (count > 0) out_of_step("nobody is there", number);
      continue;
    }
    if (write(server, &number, sizeof number) != sizeof number || read(server, &answer, sizeof answer) != sizeof answer ||
        answer != number)
      out_of_step("answered", answer);
    count = number;
    if (!stays) close(server), server = -1;
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: twin serve|ask|stay SOCKET PORT\n"), 2;
  signal(SIGPIPE, SIG_IGN);
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
  int told = listening(AF_INET, &port, sizeof port);
  if (strcmp(argv[1], "serve") == 0) serve(told, &address);
  else ask(told, &address, strcmp(argv[1], "stay") == 0);
}
