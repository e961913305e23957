/* The message that the generator sends. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stddef.h>

/* Dot-stuffed, with the final dot; without a Message-ID, which is each message's own. */
typedef struct {
  char *bytes;
  size_t length;
} message;

/* About `octets` octets of text in lines of 72 characters. */
message make_message(long octets);

#endif
