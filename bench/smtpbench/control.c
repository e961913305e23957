/* The sink's control port, one line each: STAT; RESET; WAIT messages milliseconds. Each is answered by one line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sink.h"
#include "wire.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_llong awaited;

void counters_changed(void) {
  long long wanted = atomic_load(&awaited);
  if (wanted == 0 || atomic_load(&counters.messages) < wanted) return;
  pthread_mutex_lock(&lock);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void wait_for(long long messages, long long milliseconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += (milliseconds % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&lock);
  atomic_store(&awaited, messages);
  while (atomic_load(&counters.messages) < messages)
    if (pthread_cond_timedwait(&changed, &lock, &until)) break;
  atomic_store(&awaited, 0);
  pthread_mutex_unlock(&lock);
}

static void reset(void) {
  atomic_llong *all[] = {&counters.messages, &counters.octets,     &counters.connections, &counters.handshakes, &counters.resumed,
                         &counters.broken,   &counters.recipients, &counters.clear,       &counters.first,      &counters.last};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) atomic_store(all[i], 0);
}

static int say_counters(wire *w) {
  char line[512];
  int length = snprintf(line, sizeof line,
                        "{\"messages\":%lld,\"octets\":%lld,\"connections\":%lld,\"handshakes\":%lld,\"resumed\":%lld,"
                        "\"broken\":%lld,\"recipients\":%lld,\"clear\":%lld,\"first\":%lld,\"last\":%lld}\n",
                        (long long)counters.messages, (long long)counters.octets, (long long)counters.connections,
                        (long long)counters.handshakes, (long long)counters.resumed, (long long)counters.broken,
                        (long long)counters.recipients, (long long)counters.clear, (long long)counters.first, (long long)counters.last);
  return wire_write(w, line, (size_t)length);
}

static void *serve_commands(void *argument) {
  wire *w = calloc(1, sizeof *w);
  char line[256];
  w->socket = (int)(intptr_t)argument;
  prepare_socket(w->socket, 60);
  while (wire_line(w, line, sizeof line) >= 0) {
    long long messages = 1, milliseconds = 60000;
    if (!strncmp(line, "RESET", 5)) reset();
    if (sscanf(line, "WAIT %lld %lld", &messages, &milliseconds) >= 1) wait_for(messages, milliseconds);
    if (say_counters(w) < 0) break;
  }
  wire_close(w, 0);
  free(w);
  return NULL;
}

typedef struct {
  int listening;
  void *(*serve)(void *);
} acceptor;

static void *accept_forever(void *argument) {
  acceptor a = *(acceptor *)argument;
  pthread_attr_t small;
  free(argument);
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int s = accept4(a.listening, NULL, NULL, SOCK_CLOEXEC);
    pthread_t thread;
    if (s < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EMFILE)) continue;
    if (s < 0) give_up("accept");
    wire unserved = {.socket = s};
    if (pthread_create(&thread, &small, a.serve, (void *)(intptr_t)s)) wire_close(&unserved, 0);
  }
  return NULL;
}

void accept_all(int listening, void *(*serve)(void *)) {
  acceptor *a = malloc(sizeof *a);
  pthread_t thread;
  *a = (acceptor){listening, serve};
  if (pthread_create(&thread, NULL, accept_forever, a)) give_up("thread");
}

void serve_control(int listening) {
  acceptor *a = malloc(sizeof *a);
  *a = (acceptor){listening, serve_commands};
  fprintf(stderr, "sink ready\n");
  accept_forever(a);
}
