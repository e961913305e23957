/* What the sink counts, and how it is asked for it. */
#ifndef SINK_H
#define SINK_H

#include <netinet/in.h>
#include <stdatomic.h>

/* `first` and `last`: when a message was complete, in nanoseconds of the monotonic clock. `clear`: messages that came without TLS. */
struct counters {
  atomic_llong messages, octets, connections, handshakes, resumed, broken, recipients, clear, first, last;
};
extern struct counters counters;

/* Somebody may be waiting for the next message. */
void counters_changed(void);

int listen_at(struct sockaddr_in address, int backlog);
/* Starts a thread that accepts, and one more for each connection. */
void accept_all(int listening, void *(*serve)(void *));
/* Answers STAT, RESET and WAIT; does not return. */
void serve_control(int listening);

#endif
