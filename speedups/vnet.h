/* The vnet header in front of each packet of a device with offload: Linux include/uapi/linux/virtio_net.h. */
#ifndef AIOTUN_VNET_H
#define AIOTUN_VNET_H

#define HEADER 10  /* struct virtio_net_hdr; what a longer header has behind it is zero... */
#define LONGEST 24 /* ...but in a tunnel: struct virtio_net_hdr_v1_hash_tunnel */
#define NEEDS_CSUM 1
#define TUNNEL_CSUM 8

static inline unsigned get16le(const unsigned char *from)
{
    return from[0] | from[1] << 8;
}

static inline void put16le(unsigned char *to, int number)
{
    to[0] = (unsigned char)number;
    to[1] = (unsigned char)(number >> 8);
}

#endif
