/* The message that the generator sends: a header and lines of chance characters, the same in every run. */
#include "message.h"

#include <stdlib.h>
#include <string.h>

static const char header[] =
    "From: Sender <sender@example.org>\r\nTo: <rcpt@example.net>\r\nSubject: benchmark message\r\n"
    "Date: Sun, 22 Nov 2026 06:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n";
static const char characters[] = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";

message make_message(long octets) {
  size_t wanted = octets > (long)sizeof header + 80 ? (size_t)octets : sizeof header + 80;
  message m = {.bytes = malloc(wanted + 128), .length = sizeof header - 1};
  unsigned chance = 12345;
  memcpy(m.bytes, header, m.length);
  while (m.length + 74 < wanted) {
    for (int i = 0; i < 72; i++) {
      chance = chance * 1103515245 + 12345;
      m.bytes[m.length++] = characters[(chance >> 16) % 64];
    }
    memcpy(m.bytes + m.length, "\r\n", 2);
    m.length += 2;
  }
  memcpy(m.bytes + m.length, ".\r\n", 3);
  m.length += 3;
  return m;
}
