/*
 * flood: the traffic source of the benchmarks.
 *
 *     flood ADDRESS PAYLOAD [SEGMENTS]
 *
 * Sends UDP datagrams of PAYLOAD bytes to ADDRESS, port 9, as fast as one CPU can until killed: 64 messages a
 * sendmmsg(), blocking socket, no pacing. Run it inside the namespace whose tun owns the route to ADDRESS. The tun
 * drops what its reader does not fetch in time.
 *
 * SEGMENTS > 1 makes every message carry that many datagrams through UDP_SEGMENT: the stack builds one super-packet and
 * cuts it up just before the tun (which has no offload here), so the source costs less per packet than any reader.
 */
#include "source.h"

#define MESSAGES 64

int main(int argc, char **argv)
{
    static char buffer[LARGEST];
    struct mmsghdr messages[MESSAGES];
    struct iovec vector = {.iov_base = buffer};

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: flood ADDRESS PAYLOAD [SEGMENTS]\n");
        return 2;
    }
    int payload = atoi(argv[2]), segments = argc == 4 ? atoi(argv[3]) : 1;
    if (payload < 1 || segments < 1 || segments > 64 || payload * segments > LARGEST) {
        fprintf(stderr, "flood: PAYLOAD x SEGMENTS must be 1 to %d bytes, SEGMENTS 1 to 64\n", LARGEST);
        return 2;
    }
    vector.iov_len = (size_t)(payload * segments);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < MESSAGES; i++) {
        messages[i].msg_hdr.msg_iov = &vector;
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    int fd = open_socket(argv[1], 0, payload, segments);
    for (;;)
        if (sendmmsg(fd, messages, MESSAGES, 0) < 0 && !passing())
            fail("sendmmsg");
}
