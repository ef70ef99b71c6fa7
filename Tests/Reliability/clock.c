// A wall clock that is off, for one process that this is loaded into: it is CLOCK_OFF_SECONDS ahead of the machine's, and
// whoever waits for a time by it waits as long as one would on a machine whose clock is off. The clocks that only measure
// how time goes by are left alone. (libfaketime 0.9.10 moves their timers too: an hour behind, no time-out ends before an
// hour has gone by.)
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long off_seconds;

__attribute__((constructor)) static void read_setting(void) {
    const char *text = getenv("CLOCK_OFF_SECONDS");
    off_seconds = text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

// A time of the wall clock is decades after 1970; those of the other clocks count from the start of the machine.
static clockid_t clock_of(const struct timespec *time) {
    return time->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
}

static struct timespec on_machine(const struct timespec *time) {
    struct timespec result = *time;
    if (clock_of(time) == CLOCK_REALTIME) result.tv_sec -= off_seconds;
    return result;
}

int timerfd_settime(int timer, int flags, const struct itimerspec *new, struct itimerspec *old) {
    struct itimerspec moved = *new;
    moved.it_value = on_machine(&new->it_value);
    return (int)syscall(SYS_timerfd_settime, timer, flags, &moved, old);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec moved = on_machine(until);
    return sem_clockwait(semaphore, CLOCK_REALTIME, &moved);
}

int pthread_cond_timedwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec moved = on_machine(until);
    return pthread_cond_clockwait(condition, mutex, clock_of(until), &moved);
}
