/* Calibration: fixed integer work, to see how much CPU the machine gives just now and how much others steal. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST_THREADS 64

static double seconds = 0.3;
typedef struct {
  double units, cpu;
} work;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *do_work(void *argument) {
  work *w = argument;
  double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID);
  uint64_t x = 88172645463325252ULL;
  while (now(CLOCK_MONOTONIC) - wall < seconds) {
    for (int i = 0; i < 100000; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
    }
    /* The compiler must not see that nobody wants the result. */
    __asm__ volatile("" : : "r"(x));
    w->units++;
  }
  w->cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
  return NULL;
}

/* calibrate SECONDS THREADS: units of work a second of the wall clock, and a second of CPU time. */
int calibrate_main(int count, char **arguments) {
  static work works[MOST_THREADS];
  pthread_t threads[MOST_THREADS];
  if (count > 1) seconds = atof(arguments[1]);
  int wanted = count > 2 ? atoi(arguments[2]) : 1;
  if (wanted < 1 || wanted > MOST_THREADS) wanted = 1;
  double wall = now(CLOCK_MONOTONIC), units = 0, cpu = 0;
  for (int i = 0; i < wanted; i++) pthread_create(&threads[i], NULL, do_work, &works[i]);
  for (int i = 0; i < wanted; i++) {
    pthread_join(threads[i], NULL);
    units += works[i].units;
    cpu += works[i].cpu;
  }
  wall = now(CLOCK_MONOTONIC) - wall;
  printf("{\"perWall\":%.0f,\"perCpu\":%.0f}\n", units / wall, units / cpu);
  return 0;
}
