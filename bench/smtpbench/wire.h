/* One connection, in clear or over TLS, read line by line: what the sink and the generator share. */
#ifndef WIRE_H
#define WIRE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/* `position` and `length` mark what was read and is not used yet. */
typedef struct {
  int socket;
  SSL *tls;
  int position, length;
  char buffer[65536];
} wire;

/* Nanoseconds of the monotonic clock: the same in every process of this machine. */
int64_t now_nanoseconds(void);
void sleep_milliseconds(long milliseconds);

/* Ends the program with one sentence; `what` failed for the reason in errno. */
void give_up(const char *what);

/* Small segments at once, and no read waits for more than so many minutes. */
void prepare_socket(int socket, int minutes);

/* Fills the empty buffer; -1 at the end or on an error. */
int wire_fill(wire *w);
/* Writes everything; -1 on an error. */
int wire_write(wire *w, const char *bytes, size_t count);
/* Reads a line without its line end, cut to `size`; -1 at the end. */
int wire_line(wire *w, char *line, int size);
/* Ends TLS, politely or not, and the connection. */
void wire_close(wire *w, int politely);

/* "HOST:PORT" into two strings; ends the program when there is no colon. */
void split_address(const char *address, char *host, size_t host_size, char *port, size_t port_size);

#endif
