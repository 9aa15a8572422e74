/* What coalescing wants to know of one packet. The twins are in aiotun/offload/candidate.py. */
#include "offload.h"

/* Read the IPv4 header: false if the packet has options, is a fragment or not whole. */
static bool read_ipv4(Candidate *candidate, const unsigned char *ip, size_t inner)
{
    if (ip[6] & 0xbf || ip[7]) /* reserved bit, MF, and the offset */
        return false;
    if (get16(ip + 2) != inner)
        return false;
    candidate->ident = (uint16_t)get16(ip + 4);
    candidate->flow = (Flow){.ends = ip + 12, .width = 8, .protocol = ip[9]};
    candidate->transport = candidate->network + 20;
    return true;
}

static bool read_ipv6(Candidate *candidate, const unsigned char *ip, size_t inner)
{
    if (inner < 40 || get16(ip + 4) != inner - 40)
        return false;
    candidate->ident = 0;
    candidate->flow = (Flow){.ends = ip + 8, .width = 32};
    candidate->flow.protocol =
        find_transport6(candidate->octets, candidate->size, candidate->network, &candidate->transport);
    return true;
}

static bool read_tcp(Candidate *candidate, const unsigned char *header)
{
    size_t payload = candidate->transport + (size_t)(header[12] >> 4) * 4;

    if (header[12] & 0x0f || (header[13] & ~PSH) != ACK)
        return false;
    if (payload < candidate->transport + 20 || payload >= candidate->size)
        return false;
    candidate->payload = payload;
    candidate->seq = get32(header + 4);
    candidate->push = header[13] & PSH;
    return true;
}

static bool read_udp(Candidate *candidate, const unsigned char *header)
{
    if (get16(header + 4) != candidate->size - candidate->transport || get16(header + 6) == 0)
        return false;
    candidate->payload = candidate->transport + 8;
    candidate->seq = 0;
    candidate->push = false;
    return true;
}

bool candidate_read(Candidate *candidate, const unsigned char *octets, size_t size, bool ethernet)
{
    const unsigned char *ip;
    size_t network;

    if (!find_network(octets, size, ethernet, &network) || size < network + 29)
        return false;
    candidate->octets = octets;
    candidate->size = size;
    candidate->network = network;
    ip = octets + network;
    if (!(ip[0] == 0x45 ? read_ipv4(candidate, ip, size - network)
                        : ip[0] >> 4 == 6 && read_ipv6(candidate, ip, size - network)))
        return false;
    bool is_tcp = candidate->flow.protocol == TCP;
    if ((!is_tcp && candidate->flow.protocol != UDP) || size <= candidate->transport + (is_tcp ? 20 : 8))
        return false;
    candidate->flow.ports = get32(octets + candidate->transport);
    return (is_tcp ? read_tcp : read_udp)(candidate, octets + candidate->transport);
}

bool candidate_verify(const Candidate *candidate)
{
    const unsigned char *ip = candidate->octets + candidate->network, *ends = candidate->flow.ends;
    const unsigned char *header = candidate->octets + candidate->transport;
    size_t length = candidate->size - candidate->transport;
    uint64_t sum = (uint64_t)candidate->flow.protocol + length;

    /* Where a checksum computes to 0, a field of 0xffff verifies too; only in UDP is that what belongs there. */
    if (candidate->flow.protocol == TCP && get16(header + TCP_CHECKSUM) == 0xffff)
        return false;
    if (is_ipv4(candidate) && (sum_words(ip, 20) != 0xffff || get16(ip + 10) == 0xffff))
        return false;
    if (ends + candidate->flow.width == header) /* one sum for the pseudo-header and all */
        sum += sum_words(ends, candidate->flow.width + length);
    else
        sum += (uint64_t)sum_words(ends, candidate->flow.width) + sum_words(header, length);
    return fold(sum) == 0xffff;
}
