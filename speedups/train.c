/* The packets of one flow that will be one super-packet. The twin is in aiotun/offload/train.py. */
#include "offload.h"

#define DONT_FRAGMENT 0x40

void train_start(Train *train, const Candidate *first, size_t number, size_t place)
{
    train->first = *first;
    train->gso_size = first->size - first->payload;
    train->size = first->size - first->network;
    train->count = 1;
    train->place = place;
    train->start = train->end = number;
    train->seq = first->seq + (uint32_t)train->gso_size;
    train->ident = first->ident;
    train->step = 0;
    train->push = false;
    train->open = true;
}

/* Whether the identification may stay the same: it has no meaning if DF is set, RFC 6864, and IPv6 has none. */
static bool may_repeat(const Candidate *first)
{
    return !is_ipv4(first) || first->octets[first->network + 6] & DONT_FRAGMENT;
}

static bool same(const unsigned char *one, const unsigned char *other, size_t from, size_t to)
{
    return memcmp(one + from, other + from, to - from) == 0;
}

/* Whether two headers differ only in what may differ within a train. */
static bool same_headers(const Candidate *one, const Candidate *other)
{
    const unsigned char *a = one->octets, *b = other->octets;
    size_t network = one->network, transport = one->transport;

    if (other->network != network || other->transport != transport || other->payload != one->payload)
        return false;
    if (is_ipv4(one)) { /* but for total length and identification, and the checksum */
        if (!same(a, b, 0, network + 2) || !same(a, b, network + 6, network + 10))
            return false;
        network += 12;
    } else { /* but for the payload length */
        if (!same(a, b, 0, network + 4))
            return false;
        network += 6;
    }
    if (!same(a, b, network, transport + 4))
        return false;
    if (one->flow.protocol == UDP) /* but for length and checksum */
        return true;
    /* But for the sequence number, PSH, which is the only flag beside ACK, and the checksum. */
    return same(a, b, transport + 8, transport + 13) && same(a, b, transport + 14, transport + 16) &&
           same(a, b, transport + 18, one->payload);
}

bool train_take(Train *train, const Candidate *candidate, size_t number, Py_ssize_t max_segments, Py_ssize_t max_size)
{
    const Candidate *first = &train->first;
    size_t length = candidate->size - candidate->payload;
    uint16_t step = (uint16_t)(candidate->ident - train->ident);

    if (!same_headers(first, candidate) || length > train->gso_size)
        return false;
    if ((Py_ssize_t)train->count >= max_segments || (Py_ssize_t)(train->size + length) > max_size)
        return false;
    if (first->flow.protocol == TCP && candidate->seq != train->seq)
        return false;
    if (train->count > 1) {
        if (step != train->step)
            return false;
    } else if (step > 1 || (step == 0 && !may_repeat(first)) || !candidate_verify(first))
        return false;
    if (!candidate_verify(candidate))
        return false;
    train->size += length;
    train->count++;
    train->end = number;
    train->seq += (uint32_t)length;
    train->ident = candidate->ident;
    train->step = step;
    train->push = candidate->push;
    train->open = !candidate->push && length == train->gso_size;
    return true;
}

/* Write what lengths and sums the headers have now, and PSH if the last packet said so. */
static void finish_headers(const Train *train, unsigned char *octets, size_t csum_offset)
{
    const Candidate *first = &train->first;
    unsigned char *ip = octets + first->network, *header = octets + first->transport;
    size_t length = train->size - (first->transport - first->network);

    if (is_ipv4(first)) {
        put16(ip + 2, train->size);
        put16(ip + 10, 0);
        put16(ip + 10, 0xffffu - sum_words(ip, 20));
    } else
        put16(ip + 4, train->size - 40);
    if (first->flow.protocol == UDP)
        put16(header + 4, length);
    else if (train->push)
        header[13] |= PSH;
    put16(header + csum_offset,
          fold(sum_words(first->flow.ends, first->flow.width) + (uint64_t)first->flow.protocol + length));
}

PyObject *train_build(State *state, const Train *train, const Slice *packets, const size_t next[])
{
    const Candidate *first = &train->first;
    bool is_tcp = first->flow.protocol == TCP;
    size_t number = train->start, done = first->payload;
    const Super fields = {
        .gso_type = !is_tcp ? UDP_L4 : is_ipv4(first) ? TCPV4 : TCPV6,
        .gso_size = (int)train->gso_size,
        .hdr_len = (int)first->payload,
        .csum_start = (int)first->transport,
        .csum_offset = is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM,
        .needs_csum = 1,
        .fixed_id = is_ipv4(first) && train->step == 0,
    };
    PyObject *packet = superpacket_alloc(state, (Py_ssize_t)(first->network + train->size));

    if (packet == NULL)
        return NULL;
    unsigned char *octets = (unsigned char *)PyBytes_AS_STRING(packet);
    memcpy(octets, first->octets, first->payload);
    for (size_t left = train->count; left > 0; left--) {
        size_t length = packets[number].size - first->payload;
        memcpy(octets + done, packets[number].octets + first->payload, length);
        done += length;
        if (left > 1)
            number = next[number];
    }
    finish_headers(train, octets, (size_t)fields.csum_offset);
    if (superpacket_set(state, packet, &fields) < 0)
        Py_CLEAR(packet);
    return packet;
}
