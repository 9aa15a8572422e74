/*
 * read_many: the C reference for reading many tuns in one loop.
 *
 *     read_many NAMESPACE COUNT
 *
 * Attaches to tun0, tun1 and so on in NAMESPACE, waits with epoll, and drains up to 64 packets of each tun that has any.
 * Says "ready" first, and goes on until killed.
 */
#include "tun.h"

#include <sys/epoll.h>

int main(int argc, char **argv)
{
    static char buffer[PACKET];
    struct epoll_event events[BATCH];
    char where[256];

    if (argc != 3 || atoi(argv[2]) < 1) {
        fprintf(stderr, "usage: read_many NAMESPACE COUNT\n");
        return 2;
    }
    int waiter = epoll_create1(EPOLL_CLOEXEC);
    if (waiter < 0)
        fail("epoll_create1");
    for (int i = 0; i < atoi(argv[2]); i++) {
        snprintf(where, sizeof where, "%.128s/tun%d", argv[1], i);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = attach(where)};
        if (epoll_ctl(waiter, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
            fail("epoll_ctl");
    }

    ready();
    for (;;) {
        int count = epoll_wait(waiter, events, BATCH, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++)
            for (int j = 0; j < BATCH && read_one(events[i].data.fd, buffer, sizeof buffer); j++)
                ;
    }
}
