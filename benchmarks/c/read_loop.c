/*
 * read_loop: the C reference for reading a tun.
 *
 *     read_loop NAMESPACE/NAME
 *
 * Polls, and drains up to 64 packets a poll, as a competent C program would. Nothing is done with a packet: this is the
 * floor any reader stands on. Says "ready" first, and goes on until killed.
 */
#include "tun.h"

int main(int argc, char **argv)
{
    static char buffer[PACKET];

    if (argc != 2) {
        fprintf(stderr, "usage: read_loop NAMESPACE/NAME\n");
        return 2;
    }
    int fd = attach(argv[1]);
    struct pollfd waiter = {.fd = fd, .events = POLLIN};

    ready();
    for (;;) {
        if (poll(&waiter, 1, -1) < 0 && errno != EINTR)
            fail("poll");
        for (int i = 0; i < BATCH && read_one(fd, buffer, sizeof buffer); i++)
            ;
    }
}
