/* What the twins of aiotun/offload/ share: numbers in network order, where headers are, and what is merged. */
#ifndef AIOTUN_OFFLOAD_H
#define AIOTUN_OFFLOAD_H

#include "speedups.h"

#include <stdbool.h>

enum { HOP_BY_HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, ICMPV6 = 58, DESTINATION = 60 };
enum { FIN_PSH = 0x09, PSH = 0x08, ACK = 0x10, CWR = 0x80 };
#define MAX_UDP_SEGMENTS 128 /* UDP_MAX_SEGMENTS: a tun refuses more */

enum { TCPV4 = 1, TCPV6 = 4, UDP_L4 = 5, GSO_ECN = 0x80 };

static inline uint32_t get16(const unsigned char *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

static inline uint32_t get32(const unsigned char *from)
{
    return get16(from) << 16 | get16(from + 2);
}

static inline void put16(unsigned char *to, size_t number)
{
    to[0] = (unsigned char)(number >> 8);
    to[1] = (unsigned char)number;
}

static inline void put32(unsigned char *to, uint32_t number)
{
    put16(to, number >> 16);
    put16(to + 2, number);
}

/* --- headers.c: as aiotun/offload/headers.py --------------------------------------------------------------- */

/* Find the IP header of a packet, or frame: false if a frame has none. */
bool find_network(const unsigned char *octets, size_t size, bool ethernet, size_t *network);

/* Return the protocol behind the IPv6 header at *network*, and where its header is: perhaps beyond the end. */
int find_transport6(const unsigned char *packet, size_t size, size_t network, size_t *transport);

/* --- candidate.c: as aiotun/offload/candidate.py ----------------------------------------------------------- */

/* What the packets of a flow have in common. */
typedef struct {
    const unsigned char *ends; /* both addresses */
    size_t width;              /* of both together: 8 bytes, or 32 */
    uint32_t ports;            /* both, the source's first */
    int protocol;
} Flow;

typedef struct {
    const unsigned char *octets;
    size_t size, network, transport, payload; /* the payload is at least one byte */
    Flow flow;
    uint32_t seq;   /* 0 for UDP */
    uint16_t ident; /* 0 for IPv6 */
    bool push;
} Candidate;

/* Find out what there is to know of a packet; false if it cannot be merged with any other. */
bool candidate_read(Candidate *candidate, const unsigned char *octets, size_t size, bool ethernet);

/* Whether its checksums are right, and are what segment() would write. */
bool candidate_verify(const Candidate *candidate);

static inline bool is_ipv4(const Candidate *candidate)
{
    return candidate->flow.width == 8;
}

/* --- train.c: as aiotun/offload/train.py ------------------------------------------------------------------- */

typedef struct {
    Candidate first;
    size_t gso_size, size, count;
    size_t place;      /* where the first packet is in the result */
    size_t start, end; /* the first packet and the last, by their numbers in the batch */
    uint32_t seq;      /* of the packet that comes next */
    uint16_t ident;    /* of the last packet */
    uint16_t step;     /* from one IPv4 identification to the next */
    bool push, open;
} Train;

/* Start a train with the packet of that number in the batch. */
void train_start(Train *train, const Candidate *first, size_t number, size_t place);

/* Append a packet if it is what must come next; say whether it was. */
bool train_take(Train *train, const Candidate *candidate, size_t number, Py_ssize_t max_segments, Py_ssize_t max_size);

/* Return the super-packet of the packets from train->start on, each followed by the one of number next[]. */
PyObject *train_build(State *state, const Train *train, PyObject *packets, const size_t next[]);

#endif
