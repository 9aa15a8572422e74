/* Where the headers of a packet are: bounded walks. The twins are in aiotun/offload/headers.py. */
#include "offload.h"

#define MAX_EXTENSIONS 8

enum { IPV4 = 0x0800, IPV6 = 0x86dd, VLAN = 0x8100, SERVICE_VLAN = 0x88a8 };

bool find_network(const unsigned char *octets, size_t size, bool ethernet, size_t *network)
{
    uint32_t kind = 0, version;
    size_t at = 12;

    *network = 0;
    if (!ethernet)
        return true;
    for (; at + 2 < size; at += 4) {
        kind = get16(octets + at);
        if ((kind != VLAN && kind != SERVICE_VLAN) || at == 20)
            break;
    }
    *network = at + 2;
    if (*network >= size)
        return false;
    version = octets[*network] >> 4;
    return (version == 4 && kind == IPV4) || (version == 6 && kind == IPV6);
}

int find_transport6(const unsigned char *packet, size_t size, size_t network, size_t *transport)
{
    int protocol = packet[network + 6];
    size_t at = network + 40;

    for (int step = 0; step < MAX_EXTENSIONS; step++) {
        bool known = protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION;
        if (!known || at + 8 > size || (protocol == HOP_BY_HOP && step > 0))
            break;
        protocol = packet[at];
        at += (size_t)packet[at + 1] * 8 + 8;
    }
    *transport = at;
    return protocol;
}
