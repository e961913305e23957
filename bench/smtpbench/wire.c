/* One connection, in clear or over TLS, read line by line. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t now_nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void sleep_milliseconds(long milliseconds) {
  struct timespec t = {milliseconds / 1000, (milliseconds % 1000) * 1000000};
  while (nanosleep(&t, &t) && errno == EINTR) {
  }
}

void give_up(const char *what) {
  fprintf(stderr, "smtpbench: %s: %s\n", what, strerror(errno));
  exit(2);
}

void prepare_socket(int socket, int minutes) {
  int one = 1;
  struct timeval limit = {60 * minutes, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int wire_fill(wire *w) {
  int count = w->tls ? SSL_read(w->tls, w->buffer, sizeof w->buffer) : (int)recv(w->socket, w->buffer, sizeof w->buffer, 0);
  if (count <= 0) return -1;
  w->position = 0;
  w->length = count;
  return count;
}

int wire_write(wire *w, const char *bytes, size_t count) {
  const size_t most = 1 << 20;
  while (count > 0) {
    size_t part = count > most ? most : count;
    ssize_t written = w->tls ? SSL_write(w->tls, bytes, (int)part) : send(w->socket, bytes, part, MSG_NOSIGNAL);
    if (written <= 0) return -1;
    bytes += written;
    count -= written;
  }
  return 0;
}

int wire_line(wire *w, char *line, int size) {
  int filled = 0;
  for (;;) {
    if (w->position == w->length && wire_fill(w) < 0) return -1;
    char *start = w->buffer + w->position;
    char *newline = memchr(start, '\n', w->length - w->position);
    int found = newline ? (int)(newline - start) : w->length - w->position;
    int kept = found < size - 1 - filled ? found : size - 1 - filled;
    memcpy(line + filled, start, kept);
    filled += kept;
    w->position += found + (newline ? 1 : 0);
    if (!newline) continue;
    while (filled > 0 && line[filled - 1] == '\r') filled--;
    line[filled] = 0;
    return filled;
  }
}

void wire_close(wire *w, int politely) {
  if (w->tls) {
    if (politely) SSL_shutdown(w->tls);
    SSL_free(w->tls);
  }
  close(w->socket);
  w->tls = NULL;
  w->socket = -1;
}

void split_address(const char *address, char *host, size_t host_size, char *port, size_t port_size) {
  const char *colon = strrchr(address, ':');
  if (!colon) {
    fprintf(stderr, "smtpbench: %s is no HOST:PORT\n", address);
    exit(2);
  }
  snprintf(host, host_size, "%.*s", (int)(colon - address), address);
  snprintf(port, port_size, "%s", colon + 1);
}
