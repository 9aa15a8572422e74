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

/* --- segment.c: as aiotun/offload/segment.py --------------------------------------------------------------- */

/* Where the headers of a super-packet are, and which. */
typedef struct {
    size_t network, transport, payload;
    bool is_tcp, is_ipv4;
} Layout;

/* What to write into the headers of each segment. */
typedef struct {
    Layout layout;
    uint64_t sum;               /* of the pseudo-header and the transport header, but for what differs */
    uint64_t ip_sum;            /* of the IPv4 header, but for what differs */
    uint32_t seq, word;         /* TCP: the first sequence number; data offset and flags */
    uint32_t ident, ident_step; /* IPv4: the first identification, and how much it counts up */
} Template;

/* A super-packet that is cut: *count* segments, of *gso_size* bytes behind the headers but for the last. */
typedef struct {
    const unsigned char *octets;
    size_t size, gso_size, count;
    Template template;
} Cut;

/* Find out how a SuperPacket is cut: 0; 1 if it is one packet, of which only the checksum may be missing; -1 if it cannot be. */
int cut_begin(Cut *cut, const unsigned char *octets, size_t size, const Super *fields, bool ethernet);

/* Return the bytes of a segment. */
static inline size_t cut_size(const Cut *cut, size_t number)
{
    size_t payload = cut->template.layout.payload;

    return number < cut->count - 1 ? payload + cut->gso_size : cut->size - number * cut->gso_size;
}

/* Write a segment, finished. */
void cut_write(const Cut *cut, size_t number, unsigned char *to);

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

/* A packet of a batch that is to be coalesced: bytes, or where it lies in a buffer. */
typedef struct {
    PyObject *packet;            /* NULL if it is nobody's bytes yet; borrowed */
    const unsigned char *octets; /* NULL of what is no bytes */
    size_t size;
    bool plain;                  /* neither a SuperPacket nor anything else that is more than bytes */
} Slice;

/* Return the super-packet of the packets from train->start on, each followed by the one of number next[]. */
PyObject *train_build(State *state, const Train *train, const Slice *packets, const size_t next[]);

/* --- coalesce.c -------------------------------------------------------------------------------------------- */

typedef struct {
    bool ethernet;
    Py_ssize_t max_tcp, max_udp, max_size; /* packets of one super-packet, 0 to merge none; bytes */
} Limits;

/* What merges all that may be. */
#define MOST_SEGMENTS 64
#define MAX_SIZE 0xffff

/* Return a list of the packets, each run of them that may be one super-packet made into one. */
PyObject *coalesce_slices(State *state, const Slice *packets, size_t count, const Limits *limits);

#endif
