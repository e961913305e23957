/*
 * smtpbench: a fast SMTP load generator, an SMTP sink that counts, and a look at how much CPU the machine gives.
 *
 *   smtpbench generate -H HOST:PORT [-s sessions] [-m messages] [-l octets] [-k] [-n per connection] [-p] [-r messages a second] [-T seconds]
 *                      [-f sender] [-t recipient] [-D domains]
 *     the first %d of the recipient is the message's number, the second that number modulo the domains;
 *     -k keeps a connection for all messages of a session (without it: a connection for each); -p pipelines MAIL, RCPT and DATA; -T begins no message after so many seconds
 *   smtpbench sink -l ADDRESS:PORT[+COUNT] [-l …] [-b ADDRESS:PORT[+COUNT]] -C control port [-c certificate -k key] [-r] [-R milliseconds]
 *     +COUNT: on so many addresses in a row; -b: addresses that never answer a SYN; -r: no mail without STARTTLS;
 *     -R: each round trip takes so long. The control port answers STAT, RESET and WAIT messages milliseconds with one line of JSON.
 *   smtpbench calibrate SECONDS THREADS
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

int sink_main(int count, char **arguments);
int generate_main(int count, char **arguments);
int calibrate_main(int count, char **arguments);

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  const char *what = count > 1 ? arguments[1] : "";
  if (!strcmp(what, "sink")) return sink_main(count - 1, arguments + 1);
  if (!strcmp(what, "generate")) return generate_main(count - 1, arguments + 1);
  if (!strcmp(what, "calibrate")) return calibrate_main(count - 1, arguments + 1);
  fprintf(stderr, "smtpbench generate | sink | calibrate (see the head of main.c)\n");
  return 2;
}
