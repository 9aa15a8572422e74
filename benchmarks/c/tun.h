/*
 * tun.h: what the C references share. Attaching to a tun, the poll loop between two tuns, and failing.
 * Included first, for it asks for setns().
 */
#ifndef TUN_H
#define TUN_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BATCH 64
#define PACKET 65536 /* room for any packet, as the Python programs have */
#define VNET 10      /* bytes of struct virtio_net_hdr */

#ifndef TUN_F_USO4 /* headers before Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define TCP_OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
#define OFFLOADS (TCP_OFFLOADS | TUN_F_USO4 | TUN_F_USO6)

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
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

static inline int attach_as(const char *where, short flags, unsigned offloads)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags)};
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
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
        fail(where);
    return fd;
}

/* Attach to the tun NAMESPACE/NAME, non-blocking: whole plain packets, no packet information, no offload. */
static inline int attach(const char *where)
{
    return attach_as(where, 0, 0);
}

/* The same with offloads: a virtio_net_hdr in front of each packet, which may be a super-packet. */
static inline int attach_vnet(const char *where, unsigned offloads)
{
    int fd = attach_as(where, IFF_VNET_HDR, offloads), size = VNET;

    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        fail("TUNSETVNETHDRSZ");
    return fd;
}

/* Tell the rig that traffic may begin. */
static inline void ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* read(), where an empty queue is 0. */
static inline ssize_t read_one(int fd, void *buffer, size_t size)
{
    ssize_t got = read(fd, buffer, size);

    if (got < 0 && errno != EAGAIN)
        fail("read");
    return got < 0 ? 0 : got;
}

/* Move packets between two tuns until killed: *move* takes what one has, a batch at most, to the other. */
static inline void between(int one, int two, void (*move)(int from, int to))
{
    struct pollfd waiters[] = {{.fd = one, .events = POLLIN}, {.fd = two, .events = POLLIN}};

    ready();
    for (;;) {
        if (poll(waiters, 2, -1) < 0 && errno != EINTR)
            fail("poll");
        if (waiters[0].revents)
            move(one, two);
        if (waiters[1].revents)
            move(two, one);
    }
}

#endif
