/* What both C references share: attaching to a tun, the clocks, and failing. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
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

static inline int attach(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        fail("/dev/net/tun");
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        fail(name);
    return fd;
}

static inline void report(long long packets, long long bytes, struct usage from, struct usage to)
{
    printf("{\"packets\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"user\": %.6f, \"sys\": %.6f}\n", packets, bytes,
           to.wall - from.wall, to.user - from.user, to.sys - from.sys);
    fflush(stdout);
}
