/*
 * tun.h: what both C references share. Attaching to a tun, the clocks, reporting, and failing.
 * Included first, for it asks for setns().
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define PACKET 65536 /* room for any packet, as the Python readers have */

struct usage {
    double wall, user, sys;
};

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline struct usage used(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (struct usage){
        .wall = now(),
        .user = (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6,
        .sys = (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6,
    };
}

/* Go into the network namespace that `ip netns` calls *name*, for good. */
static inline void enter(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        fail(path);
    close(fd);
}

/* Attach to the tun NAMESPACE/NAME, non-blocking: whole plain packets, no packet information, no offload. */
static inline int attach(const char *where)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    char namespace[128] = "";
    const char *slash = strchr(where, '/');

    if (!slash || slash - where >= (long)sizeof namespace) {
        fprintf(stderr, "%s: expected NAMESPACE/NAME\n", where);
        exit(2);
    }
    memcpy(namespace, where, (size_t)(slash - where));
    enter(namespace);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fail("/dev/net/tun");
    strncpy(request.ifr_name, slash + 1, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, 0) < 0)
        fail(where);
    return fd;
}

/* Tell the rig that traffic may begin. */
static inline void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static inline void report(long long packets, long long bytes, struct usage from, struct usage to)
{
    printf("{\"packets\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"user\": %.6f, \"sys\": %.6f}\n", packets, bytes,
           to.wall - from.wall, to.user - from.user, to.sys - from.sys);
    fflush(stdout);
}
