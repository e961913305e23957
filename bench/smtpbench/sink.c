/* The sink: an SMTP server that demands STARTTLS, takes every message, throws it away and counts. One thread a connection. */
#define _GNU_SOURCE
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

struct counters counters;
static SSL_CTX *tls_context;
static int needs_tls;
/* Of one round trip to the pretended distance; 0: as near as loopback. */
static long round_trip;

/* Replies are gathered while pipelined commands wait in the buffer, as servers do (RFC 2920 §3.2). */
typedef struct {
  wire wire;
  int encrypted;
  int waiting;
  char replies[8192];
} visit;

static int flush_replies(visit *v) {
  int count = v->waiting;
  v->waiting = 0;
  if (count == 0) return 0;
  if (round_trip) sleep_milliseconds(round_trip);
  return wire_write(&v->wire, v->replies, count);
}

static int reply(visit *v, const char *text) {
  size_t length = strlen(text);
  memcpy(v->replies + v->waiting, text, length);
  v->waiting += (int)length;
  if (v->wire.position < v->wire.length && v->waiting < 6000) return 0;
  return flush_replies(v);
}

/* Reads to CRLF . CRLF; answers the octets, -1 at the end. The start of DATA counts as after a CRLF. */
static long long take_content(wire *w) {
  static const char end[] = "\r\n.\r\n";
  int matched = 2;
  long long octets = 0;
  for (;;) {
    if (w->position == w->length && wire_fill(w) < 0) return -1;
    char *start = w->buffer + w->position, *limit = w->buffer + w->length, *at = start;
    while (at < limit) {
      if (matched == 0) {
        at = memchr(at, '\r', limit - at);
        if (!at) break;
        matched = 1;
        at++;
      } else if (*at == end[matched]) {
        at++;
        if (++matched < 5) continue;
        w->position = (int)(at - w->buffer);
        return octets + (at - start);
      } else {
        matched = *at == '\r' ? 1 : 0;
        at++;
      }
    }
    octets += limit - start;
    w->position = w->length;
  }
}

static void count_message(long long octets, int encrypted) {
  long long zero = 0, now = now_nanoseconds();
  atomic_compare_exchange_strong(&counters.first, &zero, now);
  atomic_store(&counters.last, now);
  atomic_fetch_add(&counters.octets, octets);
  if (!encrypted) atomic_fetch_add(&counters.clear, 1);
  atomic_fetch_add(&counters.messages, 1);
  counters_changed();
}

static int start_tls(visit *v) {
  if (wire_write(&v->wire, "220 2.0.0 go ahead\r\n", 20) < 0) return -1;
  /* RFC 3207 §6: what came before the handshake is forgotten. */
  v->wire.position = v->wire.length = 0;
  /* The first byte of the handshake, and a trip more for the handshake itself. */
  if (round_trip) sleep_milliseconds(2 * round_trip);
  v->wire.tls = SSL_new(tls_context);
  SSL_set_fd(v->wire.tls, v->wire.socket);
  if (SSL_accept(v->wire.tls) <= 0) {
    atomic_fetch_add(&counters.broken, 1);
    ERR_clear_error();
    return -1;
  }
  v->encrypted = 1;
  atomic_fetch_add(&counters.handshakes, 1);
  if (SSL_session_reused(v->wire.tls)) atomic_fetch_add(&counters.resumed, 1);
  return 0;
}

static int take_message(visit *v) {
  if (reply(v, "354 end with a dot\r\n") < 0 || flush_replies(v) < 0) return -1;
  long long octets = take_content(&v->wire);
  if (octets < 0) return -1;
  count_message(octets, v->encrypted);
  return reply(v, "250 2.0.0 taken\r\n");
}

#define EXTENSIONS "250-sink.bench\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n"

static int answer(visit *v, const char *line) {
  int offered = tls_context && !v->encrypted;
  if (!strncasecmp(line, "EHLO", 4)) {
    if (offered) return reply(v, EXTENSIONS "250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n");
    return reply(v, EXTENSIONS "250 ENHANCEDSTATUSCODES\r\n");
  }
  if (!strncasecmp(line, "STARTTLS", 8) && offered) return start_tls(v);
  if (!strncasecmp(line, "MAIL", 4)) {
    if (needs_tls && !v->encrypted) return reply(v, "530 5.7.0 STARTTLS first\r\n");
    return reply(v, "250 2.1.0 ok\r\n");
  }
  if (!strncasecmp(line, "RCPT", 4)) {
    atomic_fetch_add(&counters.recipients, 1);
    return reply(v, "250 2.1.5 ok\r\n");
  }
  if (!strncasecmp(line, "DATA", 4)) return take_message(v);
  if (!strncasecmp(line, "HELO", 4) || !strncasecmp(line, "RSET", 4) || !strncasecmp(line, "NOOP", 4)) return reply(v, "250 2.0.0 ok\r\n");
  if (!strncasecmp(line, "QUIT", 4)) {
    wire_write(&v->wire, "221 2.0.0 bye\r\n", 15);
    return -1;
  }
  return reply(v, "502 5.5.2 unknown\r\n");
}

static void *serve(void *argument) {
  visit *v = calloc(1, sizeof *v);
  char line[4096];
  v->wire.socket = (int)(intptr_t)argument;
  prepare_socket(v->wire.socket, 1);
  atomic_fetch_add(&counters.connections, 1);
  /* The trip of the TCP handshake, which loopback makes for nothing. */
  if (round_trip) sleep_milliseconds(round_trip);
  if (reply(v, "220 sink.bench ESMTP\r\n") == 0)
    while (wire_line(&v->wire, line, sizeof line) >= 0 && answer(v, line) == 0) {
    }
  wire_close(&v->wire, 1);
  free(v);
  return NULL;
}

/* `count` addresses in a row, from `first` on, at one port. */
typedef struct {
  struct in_addr first;
  int port, count;
} range;

static range read_range(const char *text) {
  char host[64], port[64];
  range r = {.count = 1};
  split_address(text, host, sizeof host, port, sizeof port);
  if (inet_pton(AF_INET, host, &r.first) != 1 || sscanf(port, "%d+%d", &r.port, &r.count) < 1) {
    fprintf(stderr, "smtpbench: %s is no ADDRESS:PORT[+COUNT]\n", text);
    exit(2);
  }
  return r;
}

static struct sockaddr_in nth_address(range r, int n) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r.port)};
  address.sin_addr.s_addr = htonl(ntohl(r.first.s_addr) + (uint32_t)n);
  return address;
}

int listen_at(struct sockaddr_in address, int backlog) {
  int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(s, (struct sockaddr *)&address, sizeof address) || listen(s, backlog)) give_up("listening");
  return s;
}

static void listen_all(range r) {
  for (int n = 0; n < r.count; n++) accept_all(listen_at(nth_address(r, n), 1024), serve);
}

/* A host that answers nothing at all: its queue of connections is full, so that Linux drops every further SYN. */
static void pretend_dead(range r) {
  for (int n = 0; n < r.count; n++) {
    struct sockaddr_in address = nth_address(r, n);
    listen_at(address, 0);
    for (int filler = 0; filler < 2; filler++) {
      int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      connect(s, (struct sockaddr *)&address, sizeof address);
    }
  }
}

static void prepare_tls(const char *certificate, const char *key) {
  tls_context = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) <= 0 || SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) <= 0) {
    ERR_print_errors_fp(stderr);
    exit(2);
  }
  SSL_CTX_set_session_id_context(tls_context, (const unsigned char *)"sink", 4);
  SSL_CTX_set_mode(tls_context, SSL_MODE_RELEASE_BUFFERS);
}

int sink_main(int count, char **arguments) {
  const char *certificate = NULL, *key = NULL;
  range listening[64], dead[64];
  int listeners = 0, deads = 0, control_port = 0, option;
  while ((option = getopt(count, arguments, "l:b:c:k:C:rR:")) != -1) switch (option) {
      case 'l': if (listeners < 64) listening[listeners++] = read_range(optarg); break;
      case 'b': if (deads < 64) dead[deads++] = read_range(optarg); break;
      case 'c': certificate = optarg; break;
      case 'k': key = optarg; break;
      case 'C': control_port = atoi(optarg); break;
      case 'r': needs_tls = 1; break;
      case 'R': round_trip = atol(optarg); break;
      default: return 2;
    }
  if (certificate && key) prepare_tls(certificate, key);
  for (int i = 0; i < listeners; i++) listen_all(listening[i]);
  for (int i = 0; i < deads; i++) pretend_dead(dead[i]);
  struct sockaddr_in control = {.sin_family = AF_INET, .sin_port = htons((uint16_t)control_port)};
  control.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  serve_control(listen_at(control, 16));
  return 0;
}
