/* The load generator: SMTP clients in threads that send the same message again and again. Prints one line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"
#include "wire.h"

/* `per_connection` 0: a connection is kept for all messages of its session. `rate` 0: as fast as it goes. `seconds` 0: until all are sent. */
static struct {
  const char *from, *to;
  int sessions, per_connection, pipelining, domains;
  long messages, octets;
  double rate, seconds;
} options = {.from = "sender@example.org", .to = "rcpt%d@example.net", .sessions = 20, .per_connection = 1, .domains = 1, .messages = 1000, .octets = 4096};

static struct addrinfo *target;
static message mail;
static atomic_long next_message, tried, accepted;
static atomic_int out_of_time;
/* Milliseconds from before the connection (or MAIL) to the reply after the dot; -1: failed. */
static double *latencies;
static int64_t started;
static pthread_barrier_t barrier;
static char last_error[4096];

/* The code of a reply, its last line in `line`; -1 when the connection ends. */
static int read_reply(wire *w, char *line, int size) {
  do {
    if (wire_line(w, line, size) < 3) {
      snprintf(line, (size_t)size, "the connection ended");
      return -1;
    }
  } while (line[3] == '-');
  return atoi(line);
}

static int fail_with(const char *text) {
  snprintf(last_error, sizeof last_error, "%s", text);
  return -1;
}

/* One command and its reply; 0 when that begins with the digit `wanted`. */
static int command(wire *w, int wanted, const char *format, ...) {
  char text[2048], line[4096];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (wire_write(w, text, (size_t)length) < 0) return fail_with("writing failed");
  return read_reply(w, line, sizeof line) / 100 == wanted ? 0 : fail_with(line);
}

static int open_connection(wire *w) {
  char line[4096];
  w->position = w->length = 0;
  w->tls = NULL;
  w->socket = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(w->socket, target->ai_addr, target->ai_addrlen)) {
    fail_with(strerror(errno));
    wire_close(w, 0);
    return -1;
  }
  prepare_socket(w->socket, 5);
  int greeted = read_reply(w, line, sizeof line) == 220 ? 0 : fail_with(line);
  if (greeted == 0 && command(w, 2, "EHLO client.example.org\r\n") == 0) return 0;
  wire_close(w, 0);
  return -1;
}

/* MAIL, RCPT and DATA, one after the other or in one write (RFC 2920). */
static int send_envelope(wire *w, long number) {
  char recipient[256], text[1024], line[4096];
  snprintf(recipient, sizeof recipient, options.to, (int)number, (int)number % options.domains);
  if (!options.pipelining) {
    if (command(w, 2, "MAIL FROM:<%s>\r\n", options.from)) return -1;
    if (command(w, 2, "RCPT TO:<%s>\r\n", recipient)) return -1;
    return command(w, 3, "DATA\r\n");
  }
  int length = snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", options.from, recipient);
  if (wire_write(w, text, (size_t)length) < 0) return fail_with("writing failed");
  for (int wanted = 0; wanted < 3; wanted++)
    if (read_reply(w, line, sizeof line) / 100 != (wanted < 2 ? 2 : 3)) return fail_with(line);
  return 0;
}

/* The content begins with a Message-ID of its own; small ones leave in one write. */
static int send_content(wire *w, long number) {
  char start[128], line[4096], whole[65536];
  int length = snprintf(start, sizeof start, "Message-ID: <%ld.%lld@client.example.org>\r\n", number, (long long)started);
  int written;
  if (length + mail.length < sizeof whole) {
    memcpy(whole, start, (size_t)length);
    memcpy(whole + length, mail.bytes, mail.length);
    written = wire_write(w, whole, (size_t)length + mail.length);
  } else {
    written = wire_write(w, start, (size_t)length) < 0 ? -1 : wire_write(w, mail.bytes, mail.length);
  }
  if (written < 0) return fail_with("writing failed");
  return read_reply(w, line, sizeof line) / 100 == 2 ? 0 : fail_with(line);
}

static void wait_for_turn(long number) {
  if (options.rate <= 0) return;
  int64_t due = started + (int64_t)(number / options.rate * 1e9), now;
  while ((now = now_nanoseconds()) < due) usleep((useconds_t)((due - now) / 1000 + 1));
}

static int is_late(void) {
  if (options.seconds <= 0 || now_nanoseconds() < started + (int64_t)(options.seconds * 1e9)) return 0;
  atomic_store(&out_of_time, 1);
  return 1;
}

static void *run_session(void *nothing) {
  wire *w = calloc(1, sizeof *w);
  int open = 0, used = 0, failures = 0;
  pthread_barrier_wait(&barrier);
  /* Whoever fails twenty times in a row has lost its server. */
  while (failures < 20) {
    long number = atomic_fetch_add(&next_message, 1);
    if (number >= options.messages || is_late()) break;
    wait_for_turn(number);
    atomic_fetch_add(&tried, 1);
    int64_t begun = now_nanoseconds();
    if (!open) used = 0;
    if (!open && open_connection(w) == 0) open = 1;
    if (!open || send_envelope(w, number) || send_content(w, number)) {
      failures++;
      if (open) wire_close(w, 0);
      else usleep(10000);
      open = 0;
      continue;
    }
    latencies[number] = (double)(now_nanoseconds() - begun) / 1e6;
    atomic_fetch_add(&accepted, 1);
    failures = 0;
    used++;
    if (options.per_connection > 0 && used >= options.per_connection) {
      command(w, 2, "QUIT\r\n");
      wire_close(w, 1);
      open = 0;
    }
  }
  if (open) {
    command(w, 2, "QUIT\r\n");
    wire_close(w, 1);
  }
  free(w);
  return nothing;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Whoever has lost its server gives up: what it did not even try has failed too. What there was no time for has not. */
static long count_failed(void) { return (atomic_load(&out_of_time) ? atomic_load(&tried) : options.messages) - atomic_load(&accepted); }

static void print_result(int64_t ended) {
  double seconds = (double)(ended - started) / 1e9;
  long total = options.messages, bad = 0;
  qsort(latencies, (size_t)total, sizeof(double), ascending);
  while (bad < total && latencies[bad] < 0) bad++;
  double p[4] = {0.5, 0.9, 0.99, 1};
  for (int i = 0; i < 4; i++) p[i] = bad < total ? latencies[bad + (long)((double)(total - bad - 1) * p[i])] : -1;
  for (char *c = last_error; *c; c++)
    if (*c == '"' || *c == '\\' || *c < 32) *c = ' ';
  printf("{\"accepted\":%ld,\"failed\":%ld,\"octets\":%zu,\"seconds\":%.4f,\"rate\":%.1f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,"
         "\"slowest\":%.3f,\"started\":%lld,\"ended\":%lld,\"error\":\"%s\"}\n",
         (long)accepted, count_failed(), mail.length, seconds, (double)accepted / seconds, p[0], p[1], p[2], p[3], (long long)started,
         (long long)ended, last_error);
}

static const char *read_options(int count, char **arguments) {
  const char *at = "127.0.0.1:2525";
  int option;
  while ((option = getopt(count, arguments, "H:s:m:l:kn:f:t:D:pr:T:")) != -1) switch (option) {
      case 'H': at = optarg; break;
      case 's': options.sessions = atoi(optarg); break;
      case 'm': options.messages = atol(optarg); break;
      case 'l': options.octets = atol(optarg); break;
      case 'k': options.per_connection = 0; break;
      case 'n': options.per_connection = atoi(optarg); break;
      case 'f': options.from = optarg; break;
      case 't': options.to = optarg; break;
      case 'D': options.domains = atoi(optarg) > 0 ? atoi(optarg) : 1; break;
      case 'p': options.pipelining = 1; break;
      case 'r': options.rate = atof(optarg); break;
      case 'T': options.seconds = atof(optarg); break;
      default: return NULL;
    }
  return at;
}

static void find_target(const char *at) {
  char host[256], port[16];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  split_address(at, host, sizeof host, port, sizeof port);
  if (getaddrinfo(host, port, &hints, &target)) give_up(at);
}

int generate_main(int count, char **arguments) {
  const char *at = read_options(count, arguments);
  if (!at) return 2;
  find_target(at);
  mail = make_message(options.octets);
  latencies = malloc(sizeof(double) * (size_t)options.messages);
  for (long i = 0; i < options.messages; i++) latencies[i] = -1;
  pthread_t *threads = calloc((size_t)options.sessions, sizeof *threads);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 512 * 1024);
  pthread_barrier_init(&barrier, NULL, (unsigned)options.sessions + 1);
  for (int i = 0; i < options.sessions; i++)
    if (pthread_create(&threads[i], &small, run_session, NULL)) give_up("thread");
  started = now_nanoseconds();
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < options.sessions; i++) pthread_join(threads[i], NULL);
  print_result(now_nanoseconds());
  return count_failed() == 0 ? 0 : 1;
}
